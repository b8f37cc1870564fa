"""What a page holds for its script: compact curves, links, pictures, and text that stays text."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from tests.support import made
from vae_hydra.studies.reporting import collect
from vae_hydra.studies.reporting.compared import Compared
from vae_hydra.studies.reporting.page.curves import curves
from vae_hydra.studies.reporting.page.data import as_script, value
from vae_hydra.studies.reporting.page.pictures import pictures
from vae_hydra.studies.reporting.page.places import places
from vae_hydra.studies.reporting.pivots import Row


def unpacked(packed, run: int) -> dict[str, list[float]] | None:
    """The series of a run, as the script reads them."""
    numbers = np.frombuffer(base64.b64decode(packed["numbers"]), "<f4")
    if packed["runs"][run] is None:
        return None
    parts = np.split(numbers, packed["ends"])
    names = ["epoch", *packed["names"]]
    return {name: parts[i].tolist() for name, i in zip(names, packed["runs"][run], strict=True) if i >= 0}


def test_curves_are_kept_once_and_in_single_precision():
    first = [
        {"epoch": 0, "train/loss": 3.5, "train/beta": 1.0},
        {"epoch": 1, "train/loss": math.inf, "train/beta": 1.0},
    ]
    second = [{"epoch": 0, "train/beta": 1.0, "val/loss": 0.1}, {"epoch": 1, "train/beta": 1.0}]
    packed = curves([first, [], second])
    assert packed["names"] == ["train/beta", "train/loss", "val/loss"]
    assert unpacked(packed, 0) == {"epoch": [0, 1], "train/beta": [1, 1], "train/loss": [3.5, math.inf]}
    assert unpacked(packed, 1) is None
    np.testing.assert_equal(unpacked(packed, 2)["val/loss"], [np.float32(0.1), math.nan])
    # Epochs and β of both runs are the same series.
    assert len(packed["ends"]) == 4


@pytest.mark.parametrize("most", [10, 50, 333, 10**6])
def test_long_histories_are_thinned_to_fit_and_keep_their_ends(most):
    histories = [[{"epoch": e, "train/loss": e + run} for e in range(100)] for run in range(5)]
    packed = curves(histories, most=most)
    epochs = unpacked(packed, 0)["epoch"]
    assert (epochs[0], epochs[-1]) == (0, 99)
    assert unpacked(packed, 3)["train/loss"] == [epoch + 3 for epoch in epochs]
    # The first and the last epoch are always there.
    assert packed["ends"][-1] <= max(most, 2 * 6)


def test_no_history_at_all_is_no_error():
    assert curves([[], []])["runs"] == [None, None]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (None, None),
        (math.nan, None),
        (math.inf, ["Infinity"]),
        (-math.inf, ["-Infinity"]),
        (3.0, 3),
        (np.int64(7), 7),
        (1 / 3, 0.333333),
        (1.5e300, 1.5e300),
        (True, "True"),
        ("</script>", "</script>"),
    ],
)
def test_values_become_json(entry, expected):
    made_of = value(entry)
    assert (made_of, type(made_of)) == (expected, type(expected))


def test_text_cannot_end_the_script():
    text = as_script({"x": "</script><!-- & '\u2028"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"x": "</script><!-- & '\u2028"}


@pytest.mark.parametrize("output", ["runs/report", "elsewhere/deep/report", "."])
@pytest.mark.parametrize("name", ["runs", "my runs #1 [β] 100%?"])
def test_links_lead_from_the_page_to_the_runs(output, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        made.run(Path(name) / str(seed), seed=seed)
    runs = collect([name]).runs
    found = places([*runs, None], Path(output))
    for run, link in zip(runs, found["links"], strict=False):
        address = unquote_to_bytes(found["base"] + link).decode()
        # As a browser does it: by the parts of the path, whether they exist or not.
        assert Path(tmp_path, output, address).resolve() == run.path.resolve()
    assert found["links"][-1] is None
    assert not set("#?[] ") & set("".join(filter(None, found["links"])) + found["base"])


def test_the_pictures_of_a_run_are_listed_those_of_its_end_first(tmp_path):
    folder = made.run(tmp_path)
    (folder / "figures" / "epoch_0001").mkdir(parents=True)
    for name in ("b.png", "a.png", "a.npz", "epoch_0001/a.png"):
        (folder / "figures" / name).write_bytes(b"")
    found = places(collect([tmp_path]).runs, tmp_path / "report")
    files = ["config.yaml", "metrics.json", "metrics.csv", "figures/a.png", "figures/b.png", "figures/epoch_0001/a.png"]
    assert [list(content) for content in found["contents"]] == [files]


def compared(channels: int) -> Compared:
    originals = np.linspace(0, 1, 2 * channels * 16, dtype=np.float32).reshape(2, channels, 4, 4)
    arrays = {"original": originals, "reconstruction": originals / 2, "noisy": originals * 3, "denoised": originals}
    return Compared(Row("digits", "normal", ""), 0, {"normal": arrays})


@pytest.mark.parametrize("channels", [1, 3])
def test_strips_hold_the_examples_side_by_side(channels):
    (shown,) = pictures([compared(channels)])
    assert [block["title"] for block in shown["blocks"]] == ["clean input", "noisy input"]
    (_, original), (name, reconstruction) = shown["blocks"][0]["strips"]
    assert name == "normal"
    # The noisy input is shown by its own limits, so that it looks like the original.
    for strip, factor in ((original, 1.0), (reconstruction, 0.5), (shown["blocks"][1]["strips"][0][1], 1.0)):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(strip.partition(",")[2]))).convert("RGBA"))
        assert pixels.shape == (4, 9, 4)
        assert list(pixels[0, :, 3]) == [255] * 4 + [0] + [255] * 4
        first = compared(channels).samplers["normal"]["original"][0].transpose(1, 2, 0)
        np.testing.assert_allclose(pixels[:, :4, :3], np.broadcast_to(255 * factor * first, (4, 4, 3)), atol=1)


def test_pictures_beyond_the_budget_are_named_by_their_files():
    first, second = pictures([compared(1), compared(1)], most=1000)
    assert "blocks" in first
    assert "blocks" not in second
    assert second["file"] == "figures/examples-digits-noise-normal.png"


def test_names_with_dollar_signs_are_no_formulas_in_the_picture_of_points():
    points = np.zeros((4, 2), dtype="float32")
    arrays = {"original": points, "reconstruction": points}
    (shown,) = pictures([Compared(Row("table", "none", ""), 0, {r"a$\frac$": arrays})])
    assert shown["picture"].startswith("data:image/png")
