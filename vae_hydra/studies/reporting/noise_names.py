"""Names of test noises: noises of one name with different parameters get different names and are never averaged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from vae_hydra.base.nested import flat
from vae_hydra.data.noise_nodes import nodes_to_test
from vae_hydra.runs.reading import RunFolder
from vae_hydra.studies.reporting.options import value_text

DENOISE = "denoise"
# A noise as sorted (path, value) pairs of text: equal for equal noises.
Noise = tuple[tuple[str, str], ...]
Names = Mapping[tuple[str, Noise], str]


def configured_noises(run: RunFolder) -> dict[str, Noise]:
    """Name → parameters of the test noises in the configuration of ``run``."""
    return _noises(run.config.get("noise"), run.config.get("test_noises"))


def evaluation_noises(run: RunFolder, evaluation: Mapping[str, Any]) -> dict[str, Noise]:
    """Name → parameters of the test noises of an evaluation; by default they are those of the run."""
    if evaluation.get("noise"):
        return _noises(evaluation["noise"], None)
    requested = evaluation.get("noises")
    return configured_noises(run) if requested is None else _noises(run.config.get("noise"), requested)


def _noises(training: Any, others: Any) -> dict[str, Noise]:
    try:
        nodes = nodes_to_test(training, others)
    except (ValueError, TypeError, AttributeError):
        # A stranger's configuration may be anything; then the noises are unknown.
        return {}
    return {name: _parameters(node) for name, node in nodes.items()}


def _parameters(node: Mapping[str, Any]) -> Noise:
    leaves = flat(node)
    texts = {path: value_text(leaves, path) for path in leaves}
    return tuple(sorted((path, text) for path, text in texts.items() if text != "none"))


def noise_names(runs: Sequence[RunFolder]) -> Names:
    """(Name, parameters) → the name of a noise in the report.

    It is the name alone for the parameters in most tests; for others the differing parameters are part of it.
    """
    tested: dict[str, Counter[Noise]] = defaultdict(Counter)
    for run in runs:
        tests = [configured_noises(run), *(evaluation_noises(run, one) for one in run.evaluations.values())]
        for name, noise in {pair for noises in tests for pair in noises.items()}:
            tested[name][noise] += 1
    return {
        (name, noise): name if noise == _usual(counts) else _told_apart(name, noise, list(counts))
        for name, counts in tested.items()
        for noise in counts
    }


def _usual(counts: Counter[Noise]) -> Noise:
    return min(counts, key=lambda noise: (-counts[noise], noise))


def _told_apart(name: str, noise: Noise, alternatives: Sequence[Noise]) -> str:
    shared = set.intersection(*map(set, alternatives))
    paths = sorted({path for other in alternatives for path, text in other if (path, text) not in shared})
    parameters = dict(noise)
    # A slash would divide the name of a metric.
    return " ".join([name, *(f"{path}={parameters.get(path, 'none')}" for path in paths)]).replace("/", "_")


def metric_name(metric: str, noises: Mapping[str, Noise], names: Names) -> str:
    """``metric`` with its noise renamed as in ``names``; a noise with unknown parameters keeps its name."""
    kind, _, rest = metric.partition("/")
    name, _, measure = rest.partition("/")
    if kind != DENOISE or name not in noises:
        return metric
    return f"{DENOISE}/{names[name, noises[name]]}/{measure}"


def own_noise(run: RunFolder, names: Names) -> str | None:
    """The name in ``names`` of the noise that ``run`` was trained under; None without one."""
    name = str((run.config.get("noise") or {}).get("name"))
    noise = configured_noises(run).get(name)
    return None if noise is None else names[name, noise]
