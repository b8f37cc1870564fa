"""Old places of modules, classes and functions, so that saved runs and users' code keep working."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PACKAGE = "vae_hydra."
# Old module → the modules with its contents today, without the leading ``vae_hydra.``. Its submodules are in the first.
MODULES = {
    "anatomy": "runs.anatomy",
    "arguments": "base.command.words",
    "auroc": "analysis.outliers.scores",
    "beta": "training.beta",
    "build": "runs.build runs.trainer runs.checkpoint runs.nodes",
    "callbacks": "training.callbacks",
    "callbacks.figures": "drawing.callback",
    "checks": "base.checks",
    "classifier_cache": "analysis.image_classifier",
    "cli": (
        "base.command.cli base.command.configuration base.command.groups base.command.output "
        "base.command.process base.command.words base.command.errors base.command.hydra_errors studies.sweep.names"
    ),
    "compatibility": "runs.compatibility",
    "complexity": "analysis.outliers.scores",
    "composition": "studies.sweep.composition",
    "condition": "model.condition",
    "config_loader": "studies.sweep.config_loader studies.sweep.register",
    "correlation": "analysis.codes",
    "errors": "base.command.errors base.command.hydra_errors",
    "examine": "analysis.measures",
    "experiment_file": "studies.search.experiment_file",
    "exploring": "drawing.page",
    "exploring.model": "drawing.page.points",
    "exploring.panes": "drawing.page.elements drawing.page.point drawing.page.example drawing.page.latents",
    "facts": "analysis.info",
    "feature_distances": "analysis.two_samples",
    "files": "base.files",
    "generation": "analysis.two_samples analysis.kernel_tests analysis.tail_measures distributions.tails",
    "generators": "analysis.sampling",
    "history": "training.history",
    "identity": "runs.identity",
    "image_folder": "data.image_folder",
    "integrity": "base.integrity",
    "known_options": "base.command.unread base.command.hydra_errors",
    "latents": "analysis.codes",
    "likelihoods": "model.likelihoods",
    "loaders": "data.loaders",
    "loggers": "training.loggers",
    "marginal": "analysis.marginal_likelihood",
    "metrics": "training.metrics",
    "module": "training.module training.batch_seeds",
    "networks": "model.networks",
    "networks.image_classifier": "analysis.image_classifier",
    "noise": "data.noise",
    "noise_nodes": "data.noise_nodes",
    "objective": "training.objective",
    "outlier_sets": "analysis.outliers.sets",
    "outliers": "analysis.outliers.scores",
    "overview": "analysis.info",
    "ownership": "runs.ownership",
    "panels": "drawing.panels",
    "partial": "runs.partial",
    "plan": "studies.sweep.plan",
    "plots": "drawing.plots",
    "plots.charts": "drawing.plots.charts drawing.plots.series drawing.plots.maps drawing.plots.axes",
    "posteriors": "runs.posteriors",
    "protocols": "training.protocols",
    "randomness": "base.randomness",
    "recognition": "analysis.image_classifier",
    "reporting": "studies.reporting",
    "reporting.bounded": "base.bounded",
    "reporting.denoised": "studies.reporting.noise_names",
    "reporting.duplicates": "studies.reporting.folders",
    "reporting.examples": "runs.examples",
    "reporting.folders": "studies.reporting.folders studies.reporting.plans runs.reading",
    "reporting.options": "studies.reporting.options base.nested runs.identity",
    "reporting.standing": "runs.scoring runs.partial",
    "reporting.pivots": "studies.reporting.pivots studies.reporting.paired_test",
    "reporting.page": "studies.reporting.page.document studies.reporting.page.data",
    "reporting.planned": "studies.reporting.plans",
    "run": "runs.folder runs.checkpoint runs.ownership",
    "samplers": "model.samplers",
    "saved": "runs.saved",
    "scores": "runs.scores runs.score_table",
    "scoring": "runs.scoring runs.partial",
    "search_results": "studies.search.results",
    "search_space": "studies.search.space",
    "sharing": "runs.sharing",
    "sources": (
        "data.examples data.sources.torchvision_images data.sources.digits data.sources.lognormal_2d "
        "data.sources.inverse_gaussian_2d data.sources.student_t_mixture"
    ),
    "splits": "data.splits",
    "study": "studies.search.study",
    "sweep_table": "studies.sweep.wandb_table studies.sweep.logged_table",
    "system_errors": "base.system_errors",
    "trust": "runs.trust",
    "vae": "model.vae",
    "warm_start": "runs.warm_start",
    "workers": "studies.sweep.workers",
}
# The same for modules whose old place is a command or a package today.
TAKEN = {
    "data": (
        "data.datamodule data.preparation data.loaders data.examples "
        "data.sources.torchvision_images data.sources.digits data.sources.lognormal_2d "
        "data.sources.inverse_gaussian_2d data.sources.student_t_mixture"
    ),
    "embed": "analysis.embedding",
    "evaluate": "analysis.evaluation",
    "explore": "drawing.page.explore",
    "export": "runs.sharing.export",
    "figures": "drawing.figures",
    "generate": "analysis.sample_files",
    "info": "analysis.info",
    "ood": "analysis.outliers.command",
    "report": "studies.reporting.command",
    "search": "studies.search.search studies.search.trial",
    "sweep": "studies.sweep.sweeper studies.sweep.outcome studies.sweep.register runs.resolve",
    "train": "runs.train",
}
# Old name → new name of single objects that were renamed, or that configurations of runs name.
NAMES = {
    "analysis.two_samples.LEAST_IN_TAIL": "analysis.tail_measures.LEAST_IN_TAIL",
    "analysis.two_samples.kernel_matrix": "analysis.kernel_tests.kernel_matrix",
    "analysis.two_samples.tail_measures": "analysis.tail_measures.tail_measures",
    "callbacks.Figures": "drawing.callback.Figures",
    "classifier_cache.beside": "analysis.image_classifier.classifier_of_run",
    "cli.SweepFolder": "studies.sweep.names.SweepFolder",
    "correlation.by_chance": "analysis.codes.chance_correlation",
    "data.DataModule": "data.datamodule.DataModule",
    "data.draw_inverse_gaussian_2d": "data.sources.inverse_gaussian_2d.draw_inverse_gaussian_2d",
    "data.draw_lognormal_2d": "data.sources.lognormal_2d.draw_lognormal_2d",
    "data.draw_student_t_mixture": "data.sources.student_t_mixture.draw_student_t_mixture",
    "data.load_digits": "data.sources.digits.load_digits",
    "data.load_torchvision": "data.sources.torchvision_images.load_torchvision",
    "identity.CAME_LATER": "runs.later_options.FIXED_DEFAULTS",
    "sharing.card.UNSAID": "runs.sharing.card.OMITTED",
    "sharing.card.WHAT_IS": "runs.sharing.card.DESCRIPTIONS",
    "search.OWN": "studies.search.search.SEARCH_OPTIONS",
    "outlier_sets.makers": "analysis.outliers.sets.outlier_makers",
    "exploring.model.Explored": "runs.trained.TrainedModel",
    "exploring.model.KL_DRAWS": "runs.trained.KL_DRAWS",
    "exploring.model.Look": "runs.trained.RoundTrip",
    "exploring.model.RANKED_BY": "runs.trained.RANKED_BY",
    "exploring.model.class_probabilities": "runs.trained.TrainedModel.class_probabilities",
    "exploring.model.decoded": "runs.trained.TrainedModel.decode",
    "compatibility.check_free_bits": "runs.compatibility.check_objective",
    "callbacks.checkpoints.MetricsCSV": "training.callbacks.checkpoints.Checkpoints",
    "exploring.model.explored": "runs.trained.TrainedModel",
    "exploring.model.information": "runs.posteriors.mean_kl",
    "exploring.model.look": "runs.trained.TrainedModel.round_trip",
    "objective.Objective": "training.objective.ELBO",
    "panels.decoded.LOOKED_AT": "drawing.panels.decoded.CANDIDATES",
    "panels.subject.CODES": "runs.trained.RANKED_BY",
    "panels.subject.Shown": "drawing.panels.subject.ShownExamples",
    "panels.subject.latent_name": "drawing.plots.names.latent_name",
    "panels.subject.looking": "drawing.panels.subject.evaluating",
    "panels.subject.quantiles": "distributions.quantiles.quantile",
    "report.with_folders": "base.command.words.folders_first",
    "reporting.denoised.named": "studies.reporting.noise_names.metric_name",
    "reporting.denoised.names": "studies.reporting.noise_names.noise_names",
    "reporting.denoised.of_evaluation": "studies.reporting.noise_names.evaluation_noises",
    "reporting.denoised.of_run": "studies.reporting.noise_names.configured_noises",
    "plots.charts.bars": "drawing.plots.charts.means",
    "reporting.figures.bars": "studies.reporting.figures.means",
    "reporting.page.Entry": "studies.reporting.page.data.value",
    "reporting.options.text": "studies.reporting.options.value_text",
}


def new_name(name: str) -> str:
    """Today's dotted name of the object ``name``; ``name`` itself if it has not moved.

    >>> new_name("vae_hydra.samplers.NormalSampler")
    'vae_hydra.model.samplers.NormalSampler'
    """
    return _renamed(name, NAMES, _NEW_MODULES)


def old_name(name: str) -> str:
    """The first dotted name of the object ``name``; the names of runs are made from it.

    >>> old_name("vae_hydra.model.samplers.NormalSampler")
    'vae_hydra.samplers.NormalSampler'
    """
    return _renamed(name, _OLD_NAMES, _OLD_MODULES)


_NEW_MODULES = {old: homes.split()[0] for old, homes in MODULES.items()}
_OLD_MODULES = {new: old for old, new in reversed(_NEW_MODULES.items())}
_OLD_NAMES = {new: old for old, new in NAMES.items()}


def _renamed(name: str, names: dict[str, str], modules: dict[str, str]) -> str:
    if not name.startswith(PACKAGE):
        return name
    inside = name.removeprefix(PACKAGE)
    if inside in names:
        return PACKAGE + names[inside]
    parts = inside.split(".")
    for depth in range(len(parts), 0, -1):
        module = ".".join(parts[:depth])
        if module in modules:
            return PACKAGE + ".".join([modules[module], *parts[depth:]])
    return name


def attributes_of(module: str) -> Callable[[str], Any]:
    """A module's ``__getattr__`` for the names that ``module`` once defined, imported on demand."""
    inside = module.removeprefix(PACKAGE)
    homes = (TAKEN.get(inside) or MODULES.get(inside) or new_name(module).removeprefix(PACKAGE)).split()

    def get(name: str) -> Any:
        if renamed := NAMES.get(f"{inside}.{name}"):
            return pkgutil.resolve_name(PACKAGE + renamed)
        if _has_submodule(module, name):
            # It is only not imported yet; the homes would import torchvision.
            return _refuse(module, name)
        for home in map(importlib.import_module, (PACKAGE + place for place in homes)):
            if name in vars(home):
                return vars(home)[name]
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    # Python looks up __path__ and the like of every module.
    return lambda name: get(name) if not name.startswith("__") else _refuse(module, name)


def _has_submodule(package: str, name: str) -> bool:
    places = getattr(sys.modules.get(package), "__path__", None)
    return places is not None and PathFinder.find_spec(f"{package}.{name}", places) is not None


def _refuse(module: str, name: str) -> Any:
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


class _OldModules(MetaPathFinder, Loader):
    """Import a module by its old name, with its old attributes."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if new_name(fullname) == fullname else ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        home = importlib.import_module(new_name(module.__name__))
        module.__doc__ = home.__doc__
        module.__getattr__ = attributes_of(module.__name__)  # type: ignore[method-assign]


def install() -> None:
    """Make old names importable, after today's modules."""
    if not any(isinstance(finder, _OldModules) for finder in sys.meta_path):
        sys.meta_path.append(_OldModules())
