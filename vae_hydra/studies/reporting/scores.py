"""The scores of runs under names with the same meaning in every run."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vae_hydra.runs.reading import RunFolder
from vae_hydra.studies.reporting.noise_names import Names, configured_noises, evaluation_noises, metric_name

Scores = Mapping[str, float]


class Score(NamedTuple):
    """One value, how it was measured (split, checkpoint and request, as text), and its evaluation, if any."""

    metric: str
    value: float
    measured_by: str
    evaluation: str


def named_scores(runs: Sequence[RunFolder], noises: Names) -> dict[Path, Scores]:
    """The scores of each run; a score that the run lacks may come from its copies.

    Where runs measured a metric in more than one way, a score of an evaluation has the evaluation's name before its
    own.

    Args:
        runs: all runs of the report.
        noises: the names of the test noises.
    """
    # The last of several scores counts.
    scores = {run.path: [s for one in (*reversed(run.copies), run) for s in _scores(one, noises)] for run in runs}
    ways = defaultdict(set)
    for score in itertools.chain.from_iterable(scores.values()):
        ways[score.metric].add(score.measured_by)
    named: dict[Path, Scores] = {}
    for path, of_run in scores.items():
        first = {score.metric: score.value for score in of_run if not score.evaluation}
        named[path] = {
            _name(score, first, len(ways[score.metric]) > 1): score.value
            for score in sorted(of_run, key=lambda score: bool(score.evaluation), reverse=True)
        }
    return named


def _name(score: Score, first: Scores, is_ambiguous: bool) -> str:
    # Scoring a run again in the same way gives the same scores.
    is_again = first.get(score.metric) == score.value
    return f"{score.evaluation}/{score.metric}" if score.evaluation and is_ambiguous and not is_again else score.metric


def _scores(run: RunFolder, noises: Names) -> Iterator[Score]:
    if run.status != "done":
        return
    tested, way = configured_noises(run), _way("test", True, None)
    for metric, value in run.metrics.items():
        yield Score(metric_name(metric, tested, noises), value, way, "")
    for name, evaluation in run.evaluations.items():
        is_chosen = evaluation.get("checkpoint") == run.record.get("checkpoint")
        tested = evaluation_noises(run, evaluation)
        for metric, value in evaluation["scores"].items():
            way = _way(evaluation.get("split"), is_chosen, _request(metric, evaluation))
            yield Score(metric_name(metric, tested, noises), value, way, name)


def _way(split: Any, is_chosen: bool, request: Any) -> str:
    return json.dumps([split, is_chosen, request], sort_keys=True)


def _request(metric: str, evaluation: Mapping[str, Any]) -> Any:
    """The part of an evaluation's request that this metric depends on; a noise is part of the metric's name."""
    requests = {"marginal": "nll", "generation": "generation", "latents": "latents", "ood": "ood"}
    return evaluation.get(requests.get(metric.split("/")[0], ""))
