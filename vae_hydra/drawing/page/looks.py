"""The page's style sheets, for light and for dark displays, wide and narrow ones."""

from __future__ import annotations

from vae_hydra.drawing.plots.style import COLOURS, MARK, PAPER

# Ink, paper, a raised surface, lines and quiet text, on light and on dark displays; they are inherited by every part.
_VARIABLES = """
:root {{ color-scheme: {scheme};
  --ink: {ink}; --paper: {paper}; --raised: {raised}; --line: {line}; --quiet: {quiet}; --link: {link};
  --design-background-color: {paper}; --design-background-text-color: {ink};
  --design-surface-color: {raised}; --design-surface-text-color: {ink};
  --panel-background-color: {paper}; --panel-on-background-color: {ink};
  --panel-surface-color: {raised}; --panel-on-surface-color: {ink}; --panel-border-color: {line};
  --one: {one}; --two: {two}; }}
"""
_LIGHT = {
    **{"scheme": "light", "ink": "#1c1f23", "paper": PAPER, "raised": "#f2f4f6", "line": "#c9ced4"},
    **{"quiet": "#545b63", "link": "#005a96", "one": COLOURS[0], "two": COLOURS[3]},
}
_DARK = {
    **{"scheme": "dark", "ink": "#e8eaed", "paper": "#16191d", "raised": "#24292f", "line": "#4a525b"},
    **{"quiet": "#a9b1ba", "link": COLOURS[5], "one": COLOURS[5], "two": COLOURS[1]},
}
PAGE = (
    _VARIABLES.format(**_LIGHT)
    + "@media (prefers-color-scheme: dark) {"
    + _VARIABLES.format(**_DARK)
    + "}"
    + "html, body { background: var(--paper); color: var(--ink); margin: 0; height: auto; }"
)

# Of texts, tables and drawings that the page writes as HTML.
TEXT = f"""
:host {{ font-family: system-ui, sans-serif; font-size: 13px; line-height: 1.4; color: var(--ink); min-width: 0; }}
p {{ margin: 2px 0; }} a {{ color: var(--link); }} h1 {{ font-size: 17px; margin: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 14px; margin: 0; overflow-wrap: anywhere; }} .quiet {{ color: var(--quiet); }}
.scroll {{ overflow: auto; max-height: 420px; border: 1px solid var(--line); border-radius: 4px; }}
table {{ border-collapse: collapse; width: 100%; }}
th {{ position: sticky; top: 0; background: var(--raised); text-align: left; }}
td, th {{ padding: 3px 8px; white-space: nowrap; border-bottom: 1px solid var(--line); }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
tr.chosen td {{ background: var(--raised); font-weight: 600; }}
summary {{ cursor: pointer; font-weight: 600; padding: 3px 0; }}
.panels {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 10px 12px; }}
.panels figure {{ margin: 0; }} .panels figcaption {{ text-align: center; white-space: nowrap; }}
.panels svg {{ width: 100%; height: 80px; display: block; border-bottom: 1px solid var(--quiet); }}
.panels .ends {{ display: flex; justify-content: space-between; font-size: 11px; color: var(--quiet); }}
.series {{ display: flex; flex-wrap: wrap; gap: 2px 14px; margin-bottom: 6px; }}
.series i {{ display: inline-block; width: 18px; height: 0; margin-right: 5px; vertical-align: middle; }}
.line {{ fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke; }}
.prior {{ fill: var(--line); }}
.code {{ stroke: var(--ink); stroke-dasharray: 2 3; stroke-width: 1.2; vector-effect: non-scaling-stroke; }}
.tiles {{ display: grid; grid-template-columns: max-content 1fr; gap: 2px 6px; max-width: 860px; }}
.tiles .names {{ display: grid; grid-auto-rows: 1fr; }} .tiles .names span {{ align-self: center; }}
.tiles .stops {{ display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; text-align: center;
  font-size: clamp(8px, 2.1vw, 11px); color: var(--quiet); }}
.tiles .picture {{ position: relative; line-height: 0; background: {PAPER}; }}
.tiles img {{ width: 100%; image-rendering: pixelated; }}
.tiles .mark {{ position: absolute; box-sizing: border-box; border: 3px solid {MARK}; }}
"""
PIXELS = f"img {{ image-rendering: pixelated; outline: 1px solid var(--line); background: {PAPER}; }}"
# matplotlib's pictures are on paper.
CARD = f"img {{ background: {PAPER}; border-radius: 4px; }}"
# Of widgets and tabs, which have colours of their own.
WIDGET = """
:host { min-width: 0; color: var(--ink); --color: var(--ink); --background-color: var(--paper);
  --border-color: var(--line); --hover-color: var(--raised); }
.bk-input { color: var(--ink); background-color: var(--paper); border-color: var(--line); }
select.bk-input, select:not([multiple]).bk-input { appearance: auto; background-image: none; }
.noUi-target { background: var(--raised); border-color: var(--line); }
.noUi-connects .noUi-connect { background-color: var(--one) !important; opacity: 0.55; }
.noUi-handle { background: var(--paper); border-color: var(--quiet); }
.bk-slider-title { white-space: nowrap; }
"""
# The page is as wide as a phone's display, not a wide page seen from afar.
VIEWPORT = "<meta name='viewport' content='width=device-width, initial-scale=1'>"
TEMPLATE = (
    "{% extends base %}{% block postamble %}" + VIEWPORT + "<style>" + PAGE + "</style>{% endblock %}"
    "{% block contents %}{{ embed(roots.page) }}{% endblock %}"
)
