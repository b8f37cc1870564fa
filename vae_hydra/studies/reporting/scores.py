"""The scores of runs by names that mean the same in every run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vae_hydra.runs.reading import RunFolder
from vae_hydra.studies.reporting import denoised

Scores = Mapping[str, float]


class Score(NamedTuple):
    """One value, with what it was measured by: (split, checkpoint, what was asked for), the same text for the same."""

    metric: str
    value: float
    measured_by: str
    evaluation: str


def named_scores(runs: Sequence[RunFolder], noises: denoised.Names) -> dict[Path, Scores]:
    """The scores of each run, with those of its copies that it lacks; one of an evaluation has the evaluation's name
    before its own where, among all runs, that name was measured in more than one way.

    Args:
        runs: whose scores are named together.
        noises: what the noises of testing are called.
    """
    # What comes later stands where both have a score.
    scores = {run.path: [s for one in (*reversed(run.copies), run) for s in _scores(one, noises)] for run in runs}
    ways = defaultdict(set)
    for score in (score for own in scores.values() for score in own):
        ways[score.metric].add(score.measured_by)
    named: dict[Path, Scores] = {}
    for path, own in scores.items():
        first = {score.metric: score.value for score in own if not score.evaluation}
        named[path] = {
            _name(score, first, len(ways[score.metric]) > 1): score.value
            for score in sorted(own, key=lambda score: bool(score.evaluation), reverse=True)
        }
    return named


def _name(score: Score, first: Scores, is_ambiguous: bool) -> str:
    # A run that is scored again has the same scores again.
    is_again = first.get(score.metric) == score.value
    return f"{score.evaluation}/{score.metric}" if score.evaluation and is_ambiguous and not is_again else score.metric


def _scores(run: RunFolder, noises: denoised.Names) -> Iterator[Score]:
    if run.status != "done":
        return
    tested = denoised.of_run(run)
    for metric, value in run.metrics.items():
        yield Score(denoised.named(metric, tested, noises), value, _way("test", True, None), "")
    for name, evaluation in run.evaluations.items():
        is_chosen = evaluation.get("checkpoint") == run.record.get("checkpoint")
        tested = denoised.of_evaluation(run, evaluation)
        for metric, value in evaluation["scores"].items():
            way = _way(evaluation.get("split"), is_chosen, _asked_for(metric, evaluation))
            yield Score(denoised.named(metric, tested, noises), value, way, name)


def _way(split: Any, is_chosen: bool, asked: Any) -> str:
    return json.dumps([split, is_chosen, asked], sort_keys=True)


def _asked_for(metric: str, evaluation: Mapping[str, Any]) -> Any:
    """The part of an evaluation's request that this metric depends on; a noise is part of the metric's name."""
    requests = {"marginal": "nll", "generation": "generation", "latents": "latents", "ood": "ood"}
    return evaluation.get(requests.get(metric.split("/")[0], ""))
