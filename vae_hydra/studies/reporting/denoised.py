"""Names of the noises of testing: those of one name and other parameters are told apart, so that none are averaged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from vae_hydra.base.nested import flat
from vae_hydra.data.noise_nodes import nodes_to_test
from vae_hydra.runs.reading import RunFolder
from vae_hydra.studies.reporting import options

DENOISE = "denoise"
# Paths and values as text, sorted: equal for equal noises.
Noise = tuple[tuple[str, str], ...]
Names = Mapping[tuple[str, Noise], str]


def of_run(run: RunFolder) -> dict[str, Noise]:
    """Name → parameters of the noises that the configuration of ``run`` has it tested on."""
    return _noises(run.config.get("noise"), run.config.get("test_noises"))


def of_evaluation(run: RunFolder, evaluation: Mapping[str, Any]) -> dict[str, Noise]:
    """Name → parameters of the noises that an evaluation asked for; those of the run where it asked for none."""
    if evaluation.get("noise"):
        return _noises(evaluation["noise"], None)
    asked = evaluation.get("noises")
    return of_run(run) if asked is None else _noises(run.config.get("noise"), asked)


def _noises(own: Any, others: Any) -> dict[str, Noise]:
    try:
        nodes = nodes_to_test(own, others)
    except (ValueError, TypeError, AttributeError):
        # From a stranger: what it was tested on is not known.
        return {}
    return {name: _parameters(node) for name, node in nodes.items()}


def _parameters(node: Mapping[str, Any]) -> Noise:
    leaves = flat(node)
    texts = {path: options.text(leaves, path) for path in leaves}
    return tuple(sorted((path, text) for path, text in texts.items() if text != "none"))


def names(runs: Sequence[RunFolder]) -> Names:
    """(Name, parameters) → what a noise is called: its name alone for the parameters that most runs were tested with,
    and with every parameter that differs for others."""
    tested: dict[str, Counter[Noise]] = defaultdict(Counter)
    for run in runs:
        every = [of_run(run), *(of_evaluation(run, evaluation) for evaluation in run.evaluations.values())]
        for name, noise in {pair for noises in every for pair in noises.items()}:
            tested[name][noise] += 1
    return {
        (name, noise): name if noise == _usual(counts) else _told_apart(name, noise, list(counts))
        for name, counts in tested.items()
        for noise in counts
    }


def _usual(counts: Counter[Noise]) -> Noise:
    return min(counts, key=lambda noise: (-counts[noise], noise))


def _told_apart(name: str, noise: Noise, every: Sequence[Noise]) -> str:
    shared = set.intersection(*map(set, every))
    paths = sorted({path for other in every for path, text in other if (path, text) not in shared})
    parameters = dict(noise)
    # A slash would part the name of a metric.
    return " ".join([name, *(f"{path}={parameters.get(path, 'none')}" for path in paths)]).replace("/", "_")


def named(metric: str, noises: Mapping[str, Noise], names: Names) -> str:
    """``metric`` with its noise as ``names`` has it; one whose parameters are not known keeps its name."""
    kind, _, rest = metric.partition("/")
    name, _, measure = rest.partition("/")
    if kind != DENOISE or name not in noises:
        return metric
    return f"{DENOISE}/{names[name, noises[name]]}/{measure}"


def own_noise(run: RunFolder, names: Names) -> str | None:
    """What the noise that ``run`` was trained under is called among those of testing; None without one."""
    name = str((run.config.get("noise") or {}).get("name"))
    noise = of_run(run).get(name)
    return None if noise is None else names[name, noise]
