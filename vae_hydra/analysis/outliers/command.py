"""The body of ``python -m vae_hydra.ood``: how well a saved run separates outliers from its own data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from vae_hydra.analysis.measures import check_request
from vae_hydra.analysis.outliers.scores import SCORES, Auroc, auroc, check_scorable, outlier_scores
from vae_hydra.analysis.outliers.sets import OutlierSets, make_sets, outlier_makers, values_taken
from vae_hydra.base import checks
from vae_hydra.base.command.groups import option, option_names
from vae_hydra.base.command.output import output_folder
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.base.files import filling_folder, write_figure, write_json
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.noise_nodes import nodes_to_test
from vae_hydra.data.splits import generator_for
from vae_hydra.drawing import plots
from vae_hydra.runs.identity import identity
from vae_hydra.runs.saved import Saved, data_of, open_saved
from vae_hydra.runs.score_table import aligned

log = logging.getLogger(__name__)

NOTE = (
    "AUROC ± standard error: the probability that an outlier scores higher than a test example; 0.5 is chance, and "
    "below it test examples score higher"
)
# Set of examples → score → values [N]; the set "test" is the run's own test examples.
Scored = Mapping[str, Mapping[str, Tensor]]
# Set of outliers → score → its AUROC.
Aurocs = Mapping[str, Mapping[str, Auroc]]


def ood(config: Mapping[str, Any]) -> dict[str, float]:
    """AUROC of each score for each set of outliers: print it, and write it to the run's folder, or to ``output``.

    Args:
        config: resolved configuration, as composed from ``conf/ood.yaml``.

    Returns:
        ``ood/<outliers>/<score>_auroc`` and ``…_auroc_standard_error``.

    Raises:
        ValueError: if ``run`` is no run, its model has no such scores, outliers cannot be made, or ``output`` has these
            scores already.
    """
    prepare_torch(config["threads"])
    request = _request(config)
    saved = open_saved(config, test_noises=())
    check_scorable(saved.module)
    data = data_of(saved, config["dataset_root"])
    check_request(saved.module, data, request["nll_samples"], 0, False)
    inside = data.shuffled("test", generator_for(request["seed"], "test"), request["limit"]).x
    outliers = _outliers(config, request, saved, data, inside)
    targets = _targets(config["output"], saved, {**request, "against": list(outliers.sets)})
    scored = _scored({"test": inside, **outliers.sets}, request, saved, data)
    aurocs = {
        name: {score: auroc(scored["test"][score], values) for score, values in scores.items()}
        for name, scores in scored.items()
        if name != "test"
    }
    return _report(saved, request, outliers, scored, aurocs, targets)


def _request(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide the scores, checked."""
    nll, limit = checks.group("nll", config["nll"]), config["limit"]
    return {
        "nll_samples": checks.non_negative_integer("nll.samples", nll["samples"]),
        # A standard error needs two.
        "limit": limit if limit is None else checks.integer("limit", limit, minimum=2),
        "seed": checks.seed("seed", config["seed"]),
        "noises": config["test_noises"],
    }


def _outliers(
    config: Mapping[str, Any], request: Mapping[str, Any], saved: Saved, data: DataModule, inside: Tensor
) -> OutlierSets:
    run, seed = saved.module.description["config"], request["seed"]
    noises = nodes_to_test(run["noise"], request["noises"])
    # The user's own files have no default place.
    names = [name for name in option_names("dataset") if name not in ("table", "image_folder")]
    datasets = {name: partial(option, "dataset", name) for name in names}
    makers = outlier_makers(run, data, inside, datasets, noises, seed, config["dataset_root"], request["limit"])
    return make_sets(makers, config["against"], values_taken(saved.module, data), seed)


def _targets(output: Any, saved: Saved, request: Mapping[str, Any]) -> tuple[Path, Path, Path]:
    """The folder to write into, and in it the files of the scores and of the figure."""
    name = f"ood-{saved.checkpoint.stem}-{identity(request)}"
    file, picture = Path(f"{name}.json"), Path(f"{name}.png")
    folder = output_folder(output, saved.run.folder, [file.name, picture.name])
    return (folder, "evaluations" / file, "figures" / picture) if output is None else (folder, file, picture)


def _scored(sets: Mapping[str, Tensor], request: Mapping[str, Any], saved: Saved, data: DataModule) -> Scored:
    scored = {}
    for number, (name, x) in enumerate(sets.items(), start=1):
        log.info("scoring %s, %d of %d: %d examples", name, number, len(sets), len(x))
        scored[name] = outlier_scores(saved.module, x, data.value_range(), request["seed"], request["nll_samples"])
    return scored


def _report(
    saved: Saved,
    request: Mapping[str, Any],
    outliers: OutlierSets,
    scored: Scored,
    aurocs: Aurocs,
    targets: tuple[Path, Path, Path],
) -> dict[str, float]:
    """Write the scores and the figure, print the table, and return the scores."""
    folder, file, picture = targets
    scores = {
        f"ood/{name}/{score}_auroc{end}": value
        for name, by_score in aurocs.items()
        for score, area in by_score.items()
        for end, value in zip(("", "_standard_error"), area, strict=True)
    }
    record = {
        "checkpoint": saved.checkpoint.stem,
        "split": "test",
        "ood": dict(request),
        "examples": {name: len(values["half_sse"]) for name, values in scored.items()},
        "medians": {name: {score: _median(x) for score, x in values.items()} for name, values in scored.items()},
        "clipped": outliers.clipped,
        "left_out": outliers.left_out,
    }
    with filling_folder(folder) as new:
        for path in (file, picture):
            (new / path).parent.mkdir(exist_ok=True)
        write_json(new / file, {**record, "scores": scores})
        _draw(new / picture, saved, scored, aurocs)
    files = [f"written to {folder / file}", f"figure     {folder / picture}"]
    lines = [*_remarks(outliers), *_table(aurocs), NOTE, *files]
    log.info("%s\n%s", saved.checkpoint, "\n".join(lines))
    return scores


def _median(values: Tensor) -> float | None:
    """The median; None if it is infinite, which JSON has no number for."""
    median = values.median()
    return median.item() if median.isfinite() else None


def _remarks(outliers: OutlierSets) -> list[str]:
    clipped = [
        f"{name}: {share:.1%} of its values lie outside [0, 1], the range of this model, and are clipped"
        for name, share in outliers.clipped.items()
    ]
    return clipped + [f"{name} is left out: {reason}" for name, reason in outliers.left_out.items()]


def _table(aurocs: Aurocs) -> list[str]:
    columns = list(next(iter(aurocs.values())))
    cells = [
        [name, *(f"{area.value:.4f} ± {area.standard_error:.4f}" for area in by_score.values())]
        for name, by_score in aurocs.items()
    ]
    heading, *lines = aligned([["outliers", *(SCORES[column] for column in columns)], *cells])
    return [heading, "-" * len(heading), *lines]


def _draw(path: Path, saved: Saved, scored: Scored, aurocs: Aurocs) -> None:
    rows = {
        name: {
            score: plots.Contrast(scored["test"][score], scored[name][score], f"AUROC {area.value:.3f}")
            for score, area in by_score.items()
        }
        for name, by_score in aurocs.items()
    }
    inside = f"{saved.module.description['config']['dataset']['name']}, test examples"
    headings = {score: title if score == "half_sse" else f"{title} [nats]" for score, title in SCORES.items()}
    figure = plots.contrasts(rows, inside, headings)
    write_figure(figure, path, dpi=100)
