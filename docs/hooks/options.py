"""The reference of options: a page for each group of ``conf/``, and one for the commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

CONF = Path(__file__).parents[2] / "conf"
# Files that set options of several groups are shown as they are.
RECIPES = ("experiment", "sweep", "search")
# A group of Hydra's in which we have options too.
LAUNCHER = "hydra/launcher"
# Of Hydra itself.
LEFT_OUT = ("defaults", "hydra")


class Option(NamedTuple):
    """One value of a file: its dotted name, the default as it is written, and the comment beside or above it."""

    name: str
    default: str
    comment: str


def groups() -> list[str]:
    """The groups of options, by name."""
    ours = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("hydra", "__pycache__"))
    return [*ours, *([LAUNCHER] if (CONF / LAUNCHER).is_dir() else [])]


def page_of(group: str) -> str:
    """The path of a group's page."""
    return f"reference/{group.rpartition('/')[2]}.md"


def heading(group: str, option: str) -> str:
    """The name of an option as a heading: files whose name begins with an underscore are shared parts of options."""
    is_shared = option.startswith("_") and group != LAUNCHER
    return f"Shared: {option[1:]}" if is_shared else option.removeprefix("_")


def files(group: str) -> dict[str, Path]:
    """Option → its file; names of shared parts begin with an underscore."""
    folder = CONF / group
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def title(text: str) -> str:
    """The first comment line, which --help shows."""
    comments = (line[2:] for line in text.splitlines() if line.startswith("# ") and not line.startswith("# @package"))
    return next(comments, "")


def options(text: str, prefix: str = "") -> list[Option]:
    """Every value of a file, with its comment."""
    node = yaml.compose(text)
    if not isinstance(node, yaml.MappingNode):
        return []
    node.value = [(key, value) for key, value in node.value if key.value not in LEFT_OUT]
    return list(_options(node, text, prefix))


def _options(node: yaml.MappingNode, text: str, prefix: str, above: str = "") -> Iterator[Option]:
    lines = text.splitlines()
    for key, value in node.value:
        comment = _comment_above(lines, key.start_mark.line) or above
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _options(value, text, f"{prefix}{key.value}.", comment)
        else:
            # A block ends at the beginning of another line.
            last = value.end_mark if value.end_mark.column else key.end_mark
            beside = lines[last.line][last.column :].partition("# ")[2]
            default = text[value.start_mark.index : value.end_mark.index].strip()
            yield Option(f"{prefix}{key.value}", default, beside or comment)
        # A comment above a block describes its first value.
        above = ""


def _comment_above(lines: list[str], line: int) -> str:
    found: list[str] = []
    # The first comment of a file is its title.
    while line > 1 and lines[line - 1].lstrip().startswith("# "):
        line -= 1
        found.insert(0, lines[line].lstrip()[2:])
    return " ".join(found)


def table(rows: list[Option]) -> str:
    """A Markdown table of options."""
    if not rows:
        return "It has no options of its own."
    lines = [f"| `{row.name}` | {_code(row.default)} | {_cell(row.comment)} |" for row in rows]
    return "\n".join(["| option | default | |", "|---|---|---|", *lines])


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def shared_parts(text: str) -> list[str]:
    """The options of its own group that a file begins with."""
    entries = (yaml.safe_load(text) or {}).get("defaults", [])
    return [entry for entry in entries if isinstance(entry, str) and entry != "_self_"]


def _rows(group: str, text: str) -> tuple[list[str], list[Option]]:
    """Dotted paths of what is built from the options, and the options themselves."""
    dotted = group.replace("/", ".")
    found = options(text, f"{dotted}.")
    wiring = [row for row in found if row.name in (f"{dotted}._target_", f"{dotted}.source._target_")]
    # A value that is another option of the same group is passed on, and is no option by itself.
    kept = [row for row in found if row not in wiring and not row.default.startswith(f"${{{dotted}.")]
    return [row.default for row in wiring], kept


def section(group: str, option: str, text: str) -> str:
    """One option of a group."""
    top = f"## {heading(group, option)}\n\n{_cell(title(text))}\n"
    if group in RECIPES:
        return f"{top}\n```yaml\n{text.strip()}\n```\n"
    built, rows = _rows(group, text)
    parts = " and ".join(f"`{part}`" for part in shared_parts(text))
    notes = [f"Built by `{path}`." for path in built]
    if parts:
        notes.append(f"It also has the options of {parts}.")
    return "\n".join([top, *(f"{note}\n" for note in notes), table(rows), ""])


def defaults() -> dict[str, str]:
    """Group → its default option in training."""
    entries = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    return {str(group): option for entry in entries if isinstance(entry, dict) for group, option in entry.items()}


def group_page(group: str) -> str:
    """The page of a group."""
    texts = {option: path.read_text(encoding="utf-8") for option, path in files(group).items()}
    default = defaults().get(group)
    intro = f"`{group}=OPTION` chooses one of these." + (f" The default is `{default}`." if default else "")
    return "\n".join([f"# {group}\n\n{intro}\n", *(section(group, option, text) for option, text in texts.items())])


def command_names() -> list[str]:
    """The commands that have options of their own."""
    return sorted(path.stem for path in CONF.glob("[!_]*.yaml"))


def commands_page() -> str:
    """The options of every command outside groups."""
    return "\n".join(["# Commands\n\nOptions of the commands that are in no group.\n", *map(_command, command_names())])


def _command(name: str) -> str:
    text = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
    about = yaml.safe_load((CONF / "hydra" / "help" / f"{name}.yaml").read_text(encoding="utf-8"))
    usage = [line[2:] for line in about["template"].splitlines() if line and not line.lstrip().startswith("${")]
    saved = ["It also has the [options of every command that takes a saved run](#saved-runs).\n"] * (
        "_saved" in shared_parts(text)
    )
    code = "\n".join(["```text", *usage, "```", ""])
    return "\n".join([f"## {name}\n\n{_cell(about['header'])}\n", code, *saved, table(options(text)), ""])


def saved_section() -> str:
    """The options that commands for a saved run share."""
    text = (CONF / "_saved.yaml").read_text(encoding="utf-8")
    return f"## Saved runs\n\n{title(text)}\n\n{table(options(text))}\n"


def _row(group: str) -> str:
    page = page_of(group).removeprefix("reference/")
    names = ", ".join(
        f"`{heading(group, name)}`" for name in files(group) if not heading(group, name).startswith("Shared")
    )
    return f"| [`{group}=`]({page}) | {names} |"


def index_page() -> str:
    """The list of groups."""
    lines = [_row(group) for group in groups()]
    made = "These pages are made from the files in `conf/` when the site is built."
    intro = f"{made} [Commands](commands.md) has the options that are in no group."
    return "\n".join(["# Options\n", f"{intro}\n", "| group | options |", "|---|---|", *lines, ""])


def pages() -> dict[str, str]:
    """Path in the site → Markdown."""
    made = {page_of(group): group_page(group) for group in groups()}
    return {
        "reference/index.md": index_page(),
        "reference/commands.md": f"{commands_page()}\n{saved_section()}",
        **made,
    }


def nav() -> list[dict[str, str]]:
    """The navigation of these pages."""
    listed = [{"Overview": "reference/index.md"}, {"Commands": "reference/commands.md"}]
    return [*listed, *({group: page_of(group)} for group in groups())]
