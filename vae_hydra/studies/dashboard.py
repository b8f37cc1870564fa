"""A saved view of a W&B project: what the runs of several latent distributions are compared by."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_hydra.base.files import check_writable, write_text
from vae_hydra.studies.reporting.measures import unit

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import BarPlot, LinePlot
    from wandb_workspaces.workspaces import Section, Workspace

# Names that every run logs (docs/loggers.md); the axis is the one name that W&B has besides.
AXIS = "trainer/global_step"
CURVES = (
    "val/elbo",
    "val/log_likelihood",
    "val/kl",
    "val/half_sse",
    "train/loss",
    "train/elbo",
    "train/beta",
    "train/learning_rate",
)
SCORES = ("half_sse", "elbo", "kl", "psnr", "ssim")
CLEAN = "reconstruct/clean"
NOISY = ("denoise/normal", "denoise/lognormal", "denoise/uniform", "denoise/inverse_gaussian")
FIGURES = ("reconstructions", "denoised", "prior_samples", "latent_plane", "kl_per_latent", "codes_against_prior")
# W&B's own form of dataset.name, noise.name, sampler.name and seed.
COLUMNS = ("config:dataset.value.name", "config:noise.value.name", "config:sampler.value.name", "config:seed.value")
OPTION = re.compile(r"\w+(\.\w+)*")


def dashboard(config: Mapping[str, Any]) -> str:
    """Save a view of a W&B project, or write its specification to a file; return where it is, in a line.

    Each call saves a new view. One that is there already, perhaps edited by hand, stays as it is.

    Args:
        config: resolved configuration, as composed from ``conf/dashboard.yaml``.

    Raises:
        ValueError: for a missing entity or package, an option that cannot exist, or an answer of W&B that is no view.
    """
    view = workspace(config)
    if config["output"] is None:
        return f"view     {_saved(view)}"
    path = Path(config["output"])
    if path.exists():
        raise ValueError(f"output={path} exists already; choose another name, or delete it")
    check_writable(path.parent)
    write_text(path, json.dumps(specification(view), indent=2) + "\n")
    return f"view     {path}"


def workspace(config: Mapping[str, Any]) -> Workspace:
    """The view that the options of ``dashboard`` describe, not saved yet; ValueError as there."""
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise ValueError("a dashboard needs the package wandb-workspaces: pip install 'vae_hydra[dashboard]'")
    if not config["entity"] or not config["project"]:
        raise ValueError("a view belongs to a project of a team or user: give entity=NAME and project=NAME")
    by, group = str(config["by"]), config["group"]
    if not OPTION.fullmatch(by):
        raise ValueError(f"by must be an option of the runs such as sampler.name, but got {by!r}")
    import wandb_workspaces.workspaces as ws

    return ws.Workspace(
        entity=str(config["entity"]),
        project=str(config["project"]),
        name=str(config["name"] or group or "vae_hydra"),
        sections=_sections(by),
        settings=ws.WorkspaceSettings(x_axis=AXIS, max_runs=100, remove_legends_from_panels=False),
        runset_settings=ws.RunsetSettings(
            # The table of a sweep is a run of its group, without curves.
            filters=ws.And(ws.Metric("JobType") != "table", *([ws.Metric("Group") == str(group)] if group else [])),
            groupby=[ws.Config(by)],
            pinned_columns=[*COLUMNS, *(f"summary:{CLEAN}/{name}" for name in SCORES)],
        ),
    )


def specification(view: Workspace) -> dict[str, Any]:
    """The view as W&B stores it."""
    spec: dict[str, Any] = view._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return spec


def _sections(by: str) -> list[Section]:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    trade_off = wr.ScatterPlot(
        title="Reconstruction against KL, test images",
        x=wr.SummaryMetric(f"{CLEAN}/kl"),
        y=wr.SummaryMetric(f"{CLEAN}/half_sse"),
    )
    options = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(name)) for name in ("sampler.name", "noise.name")]
    score = wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(f"{CLEAN}/half_sse"))
    pictures = [wr.MediaBrowser(title=name, media_keys=[f"figures/{name}"], num_columns=2) for name in FIGURES]
    panels: dict[str, list[Any]] = {
        "Training": [_curve(name, by) for name in CURVES],
        "Test, clean input": [_bars(f"{CLEAN}/{name}", by) for name in SCORES],
        "Test, noisy input": [_bars(f"{protocol}/half_sse", by) for protocol in NOISY],
        "Trade-offs": [trade_off, wr.ParallelCoordinatesPlot(columns=[*options, score])],
        "Figures": pictures,
    }
    # Pictures of many runs are slow to load.
    return [ws.Section(name=name, panels=shown, is_open=name != "Figures") for name, shown in panels.items()]


def _curve(name: str, by: str) -> LinePlot:
    """A curve of training for each value of ``by``: the mean of its runs, and a band of one standard deviation."""
    import wandb_workspaces.reports.v2 as wr

    return wr.LinePlot(
        title=name, x=AXIS, y=[name], groupby=wr.Config(by), groupby_aggfunc="mean", groupby_rangefunc="stddev"
    )


def _bars(name: str, by: str) -> BarPlot:
    """A bar for each value of ``by``: the mean score of its runs, with one standard deviation."""
    import wandb_workspaces.reports.v2 as wr

    return wr.BarPlot(
        title=f"{name} [{unit(name)}]",
        metrics=[name],
        groupby=wr.Config(by),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
    )


def _saved(view: Workspace) -> str:
    """Save the view as a new one and return its address."""
    import wandb

    # It would print the address once more.
    wandb.setup(wandb.Settings(silent=True))
    try:
        view.save_as_new_view()
    except (wandb.errors.Error, KeyError, TypeError) as error:
        raise ValueError(f"W&B did not save the view of {view.entity}/{view.project}: {error}") from error
    return str(view.url)
