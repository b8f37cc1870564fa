"""How well a saved run tells outliers from its own data: ``python -m vae_hydra.ood run=outputs/<run>``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_hydra.base.command.groups import option, option_names
from vae_hydra.base.command.output import output_folder
from vae_hydra.base.command.process import prepare_torch

if TYPE_CHECKING:
    from torch import Tensor

    from vae_hydra.analysis.outliers.scores import Auroc
    from vae_hydra.analysis.outliers.sets import OutlierSets
    from vae_hydra.data.datamodule import DataModule
    from vae_hydra.runs.saved import Saved

    Scored = Mapping[str, Mapping[str, Tensor]]

log = logging.getLogger(__name__)

NOTE = (
    "AUROC ± standard error: the probability that an outlier scores higher than a test example; 0.5 is chance, and "
    "below it the model likes the outliers better"
)


def ood(config: Mapping[str, Any]) -> dict[str, float]:
    """AUROC of every score for every set of outliers; printed, drawn, and kept in the run's folder, or in ``output``.

    Args:
        config: resolved configuration, as ``conf/ood.yaml`` composes it.

    Returns:
        ``ood/<outliers>/<score>_auroc`` and ``…_auroc_standard_error``.

    Raises:
        ValueError: if ``run`` is no run, its model cannot be asked, the outliers cannot be had, or ``output`` has these
            scores already.
    """
    from vae_hydra.analysis.measures import check_request
    from vae_hydra.analysis.outliers.scores import auroc, check_scorable
    from vae_hydra.data.splits import generator_for
    from vae_hydra.runs.saved import data_of, open_saved

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
        name: {score: auroc(scored["test"][score], values) for score, values in of_set.items()}
        for name, of_set in scored.items()
        if name != "test"
    }
    return _report(saved, request, outliers, scored, aurocs, targets)


def _request(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the scores depend on, checked."""
    from vae_hydra.base import checks

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
    from vae_hydra.analysis.outliers.sets import make_sets, makers, values_taken
    from vae_hydra.data.noise_nodes import nodes_to_test

    run, seed = saved.module.description["config"], request["seed"]
    noises = nodes_to_test(run["noise"], request["noises"])
    datasets = {name: partial(option, "dataset", name) for name in option_names("dataset")}
    every = makers(run, data, inside, datasets, noises, seed, config["dataset_root"], request["limit"])
    return make_sets(every, config["against"], values_taken(saved.module, data), seed)


def _targets(output: Any, saved: Saved, asked: Mapping[str, Any]) -> tuple[Path, Path, Path]:
    """The folder to write into, and where the scores and the figure go in it."""
    from vae_hydra.runs.identity import identity

    name = f"ood-{saved.checkpoint.stem}-{identity(asked)}"
    file, picture = Path(f"{name}.json"), Path(f"{name}.png")
    folder = output_folder(output, saved.run.folder, [file.name, picture.name])
    return (folder, "evaluations" / file, "figures" / picture) if output is None else (folder, file, picture)


def _scored(sets: Mapping[str, Tensor], request: Mapping[str, Any], saved: Saved, data: DataModule) -> Scored:
    from vae_hydra.analysis.outliers.scores import outlier_scores

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
    aurocs: Mapping[str, Mapping[str, Auroc]],
    targets: tuple[Path, Path, Path],
) -> dict[str, float]:
    """Print the table, write the scores and the figure; the scores."""
    from vae_hydra.base.files import filling_folder, write_json

    folder, file, picture = targets
    scores = {
        f"ood/{name}/{score}_auroc{end}": value
        for name, of_set in aurocs.items()
        for score, found in of_set.items()
        for end, value in zip(("", "_standard_error"), found, strict=True)
    }
    written = {
        "checkpoint": saved.checkpoint.stem,
        "split": "test",
        "ood": dict(request),
        "examples": {name: len(of_set["half_sse"]) for name, of_set in scored.items()},
        "medians": {name: {score: _median(x) for score, x in of_set.items()} for name, of_set in scored.items()},
        "clipped": outliers.clipped,
        "left_out": outliers.left_out,
    }
    with filling_folder(folder) as new:
        for path in (file, picture):
            (new / path).parent.mkdir(exist_ok=True)
        write_json(new / file, {**written, "scores": scores})
        _draw(new / picture, saved, scored, aurocs)
    where = [f"written to {folder / file}", f"figure     {folder / picture}"]
    lines = [*_remarks(outliers), *_table(aurocs), NOTE, *where]
    log.info("%s\n%s", saved.checkpoint, "\n".join(lines))
    return scores


def _median(values: Tensor) -> float | None:
    """None where it is infinite, which JSON cannot say."""
    median = values.median()
    return median.item() if median.isfinite() else None


def _remarks(outliers: OutlierSets) -> list[str]:
    clipped = [
        f"{name}: {share:.1%} of its values lie outside [0, 1], where this run's data are, and are clipped"
        for name, share in outliers.clipped.items()
    ]
    return clipped + [f"{name} is left out: {reason}" for name, reason in outliers.left_out.items()]


def _table(aurocs: Mapping[str, Mapping[str, Auroc]]) -> list[str]:
    from vae_hydra.analysis.outliers.scores import SCORES
    from vae_hydra.runs.score_table import aligned

    columns = list(next(iter(aurocs.values())))
    cells = [
        [name, *(f"{found.value:.4f} ± {found.standard_error:.4f}" for found in of_set.values())]
        for name, of_set in aurocs.items()
    ]
    heading, *lines = aligned([["outliers", *(SCORES[column] for column in columns)], *cells])
    return [heading, "-" * len(heading), *lines]


def _draw(path: Path, saved: Saved, scored: Scored, aurocs: Mapping[str, Mapping[str, Auroc]]) -> None:
    from vae_hydra.analysis.outliers.scores import SCORES
    from vae_hydra.base.files import write_figure
    from vae_hydra.drawing import plots

    rows = {
        name: {
            score: plots.Contrast(scored["test"][score], scored[name][score], f"AUROC {found.value:.3f}")
            for score, found in of_set.items()
        }
        for name, of_set in aurocs.items()
    }
    inside = f"{saved.module.description['config']['dataset']['name']}, test examples"
    headings = {score: title if score == "half_sse" else f"{title} [nats]" for score, title in SCORES.items()}
    figure = plots.contrasts(rows, inside, headings)
    write_figure(figure, path, dpi=100)
