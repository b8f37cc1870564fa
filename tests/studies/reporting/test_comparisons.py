"""Every pair of columns, tested, with Holm's correction for the pairs of a row."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from tests.support import made
from vae_hydra.studies.reporting import collect, pivot
from vae_hydra.studies.reporting.command import report
from vae_hydra.studies.reporting.comparisons import comparisons, holm

SAMPLERS = ("normal", "lognormal", "gamma")


def holm_by_definition(p_values: list[float]) -> list[float]:
    """The least level at which Holm's procedure rejects each hypothesis, by search over the levels where it changes."""

    def rejected(level: float) -> set[int]:
        found = set()
        for rank, index in enumerate(np.argsort(p_values)):
            if p_values[index] > level / (len(p_values) - rank):
                break
            found.add(int(index))
        return found

    levels = sorted({min(1.0, factor * p) for p in p_values for factor in range(1, len(p_values) + 1)} | {1.0})
    return [
        next((level for level in levels if index in rejected(level * (1 + 1e-12))), 1.0)
        for index in range(len(p_values))
    ]


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_least_level_that_rejects(seed):
    p_values = (np.random.default_rng(seed).random(6) ** 3).tolist()
    assert holm(p_values) == pytest.approx(holm_by_definition(p_values))


def test_a_comparison_without_a_test_does_not_count():
    assert holm([]) == []
    assert holm([math.nan, 0.02, 0.03])[1:] == [0.04, 0.04]
    assert math.isnan(holm([math.nan, 0.02])[0])


@pytest.fixture
def scores(tmp_path):
    """Half-SSE of three samplers under two noises, eight seeds each: scores[noise, sampler]."""
    generator, found = np.random.default_rng(0), {}
    for noise in ("none", "uniform"):
        shared = generator.normal(size=8)
        for shift, sampler in enumerate(SAMPLERS):
            values = 5 + 0.1 * shift + shared + 0.1 * generator.normal(size=8)
            found[noise, sampler] = values
            for seed, value in enumerate(values):
                made.run(tmp_path / "outputs", float(value), noise=noise, sampler=sampler, seed=seed)
    return found


def test_each_pair_has_its_paired_t_test(scores, tmp_path):
    found = comparisons([pivot(collect([tmp_path / "outputs"]).frame, "reconstruct/clean/half_sse")])
    assert len(found) == 6
    for noise, rows in found.groupby("noise"):
        expected = [
            scipy.stats.ttest_rel(scores[noise, row.one], scores[noise, row.other]) for row in rows.itertuples()
        ]
        assert rows["p"].to_numpy() == pytest.approx([one.pvalue for one in expected])
        assert rows["p_holm"].to_numpy() == pytest.approx(holm_by_definition([one.pvalue for one in expected]))
        for row in rows.itertuples():
            difference = scores[noise, row.one] - scores[noise, row.other]
            assert row.pairs == 8
            assert (row.difference, row.standard_deviation) == pytest.approx(
                (difference.mean(), difference.std(ddof=1))
            )
            assert row.mean_of_one - row.mean_of_other == pytest.approx(row.difference)
            assert not row.confounded


def test_two_seeds_are_compared_without_a_test(tmp_path):
    for sampler, shift in zip(SAMPLERS[:2], (0.0, 1.0), strict=True):
        for seed in (0, 1):
            made.run(tmp_path / "outputs", 5.0 + shift + 0.1 * seed, sampler=sampler, seed=seed)
    (row,) = comparisons([pivot(collect([tmp_path / "outputs"]).frame, "reconstruct/clean/half_sse")]).itertuples()
    assert (row.pairs, row.difference) == (2, pytest.approx(-1.0))
    assert math.isnan(row.p)
    assert math.isnan(row.p_holm)


def test_a_report_has_them_in_a_file(scores, tmp_path):
    folder = report({"folders": [str(tmp_path / "outputs")], "output": None, "metrics": ["*half_sse"], "level": 0.05})
    table = pd.read_csv(folder.parent / "comparisons.csv" if folder.suffix else folder / "comparisons.csv")
    assert set(table["noise"]) == {"none", "uniform"}
    assert (table["p_holm"] >= table["p"]).all()
