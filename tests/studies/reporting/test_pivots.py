"""Pivots: means and spreads against numpy, bold against the t distribution and against chance."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from tests.support.cells import METRIC, drawn, frame
from vae_hydra.studies.reporting import pivot
from vae_hydra.studies.reporting.measures import better


def crossed(rows, folds_share, seeds_share=0.0, seeds=3, folds=5, seed=0) -> pd.DataFrame:
    """Two equal samplers, all seeds in all folds; shares of variance: what a fold, or a seed, does to one sampler."""
    generator = np.random.default_rng(seed)

    def normal(share, *shape):
        return generator.normal(0, math.sqrt(share), (rows, 2, *shape))

    own = normal(1 - folds_share - seeds_share, seeds, folds)
    values = own + normal(folds_share, 1, folds) + normal(seeds_share, seeds, 1)
    runs = frame(values.reshape(rows, 2, -1))
    return runs.assign(fold=runs["seed"] % folds, seed=runs["seed"] // folds)


@pytest.mark.parametrize("folds", [False, True])
def test_cells_are_means_and_standard_deviations(folds):
    values = drawn(2, [0, 1], 4)
    table = pivot(frame(values, folds=folds), METRIC)
    for i, j in np.ndindex(2, 2):
        cell = table.cells[f"d{i}", "none", ""][f"s{j}"]
        assert cell.mean == pytest.approx(np.mean(values[i, j]))
        assert cell.spread == pytest.approx(np.std(values[i, j], ddof=1))
    assert table.has_folds == folds


@pytest.mark.parametrize(("samplers", "seeds"), [(2, 3), (2, 5), (4, 5)])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_of_equal_samplers_none_is_bold_more_often_than_the_level(samplers, seeds, level):
    rows = 800
    table = pivot(frame(drawn(rows, [0.0] * samplers, seeds)), METRIC, level)
    rate, slack = len(table.best) / rows, 3 * math.sqrt(level * (1 - level) / rows)
    assert rate <= level + slack
    # Two samplers: the best is bold whenever the one test rejects.
    assert samplers > 2 or rate >= level - slack


@pytest.mark.parametrize(
    ("folds_share", "seeds_share"), [(0.0, 0.0), (0.2, 0.0), (0.5, 0.0), (0.8, 0.0), (0.0, 0.5), (0.4, 0.4)]
)
def test_folds_and_seeds_that_move_one_sampler_do_not_make_it_bold(folds_share, seeds_share):
    """Pairs (seed, fold) taken as independent would be bold in 10 % of rows for a share of 0.2, in 26 % for 0.8."""
    rows = 800
    table = pivot(crossed(rows, folds_share, seeds_share), METRIC)
    assert len(table.best) / rows <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rows)


def test_a_true_difference_is_found_over_folds():
    runs = crossed(100, 0.5)
    runs.loc[runs["sampler"] == "s1", METRIC] += 6.0
    assert list(pivot(runs, METRIC).best.values()).count("s0") >= 95


@pytest.mark.parametrize(("seeds", "folds"), [(2, 5), (5, 2), (2, 2)])
def test_two_seeds_or_two_folds_are_too_few(seeds, folds):
    runs = crossed(1, 0.0, seeds=seeds, folds=folds)
    runs.loc[runs["sampler"] == "s1", METRIC] += 60.0
    table = pivot(runs, METRIC)
    assert (table.best, table.most_pairs) == ({}, 2)


@pytest.mark.parametrize(("seeds", "rate"), [(3, 0.33), (5, 0.13)])
def test_equal_means_are_not_equal_samplers(seeds, rate):
    """One sampler that collapses in a third of the seeds, one that is steady: the documented share of rows is bold."""
    generator, rows = np.random.default_rng(0), 800
    values = generator.normal(0, 0.01, (rows, 2, seeds))
    values[:, 0] += 3.0 * (generator.random((rows, seeds)) < 1 / 3)
    values[:, 1] += 1.0
    assert len(pivot(frame(values), METRIC).best) / rows == pytest.approx(rate, abs=3 * math.sqrt(rate / rows))


@pytest.mark.parametrize(("metric", "winner"), [(METRIC, "s0"), ("reconstruct/clean/elbo", "s2"), ("x/kl", None)])
def test_a_true_difference_is_found_in_the_direction_of_the_metric(metric, winner):
    table = pivot(frame(drawn(200, [0.0, 3.0, 6.0], 5), metric), metric)
    assert set(table.best.values()) == ({winner} if winner else set())
    assert len(table.best) >= (150 if winner else 0)


def test_seeds_that_move_all_samplers_do_not_hide_a_difference():
    """Paired: what a seed does to all of them is not spread of the difference."""
    table = pivot(frame(drawn(50, [0.0, 1.0], 5, spread=0.2, shared=10.0)), METRIC)
    assert len(table.best) == 50


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_bold_is_what_the_t_distribution_says(seeds):
    values = drawn(100, [0.0, 1.0], seeds)
    table = pivot(frame(values), METRIC)
    difference = values[:, 1] - values[:, 0]
    t = difference.mean(1) / (difference.std(1, ddof=1) / math.sqrt(seeds))
    p = 2 * scipy.stats.t.sf(np.abs(t), seeds - 1)
    assert {int(row.dataset[1:]) for row in table.best} == set(np.flatnonzero(p < 0.05))


@pytest.mark.parametrize(
    "values",
    [
        [[1.0, 1.1], [9.0, 9.2]],  # two pairs
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]],
        [[1.0, 2.0, 3.0], [1.1, 2.1, 3.1]],  # differences without spread
        [[1.0, 1.1, 1.2], [math.inf, 9.0, 9.1]],
        [[1.0, 1.1, 1.2]],
    ],
)
def test_columns_that_cannot_be_tested_are_not_bold(values):
    with np.errstate(all="raise"):
        assert pivot(frame([values]), METRIC).best == {}


def test_every_other_column_has_to_be_beaten_those_that_failed_included():
    values = drawn(1, [0.0, 9.0, 9.0], 4)
    runs = frame(values)
    assert set(pivot(runs, METRIC).best.values()) == {"s0"}
    runs.loc[runs["sampler"] == "s2", "status"] = "failed"
    assert pivot(runs, METRIC).best == {}
    close = frame(np.concatenate([values[:, :2], values[:, :1] + drawn(1, [0.01], 4, seed=1) * 0.1], axis=1))
    assert pivot(close, METRIC).best == {}


def test_only_common_seeds_are_compared():
    runs = frame(drawn(1, [0.0, 9.0], 5))
    disjoint = runs.assign(seed=runs["seed"] + 3 * (runs["sampler"] == "s1"))
    assert pivot(disjoint, METRIC).most_pairs == 2
    assert pivot(disjoint, METRIC).best == {}


def test_replicates_without_a_value_are_counted_by_what_they_are():
    runs = frame(drawn(1, [0.0, 0.0], 3))
    runs.loc[0, "status"], runs.loc[1, "status"] = "failed", "missing"
    cell = pivot(runs, METRIC).cells["d0", "none", ""]["s0"]
    assert (cell.n, cell.total, dict(cell.others)) == (1, 3, {"failed": 1, "missing": 1})


def test_own_is_the_noise_each_row_was_trained_under():
    normal = frame([[[1.0]]], "denoise/normal/half_sse", noise="normal").assign(**{"denoise/uniform/half_sse": 7.0})
    uniform = frame([[[2.0]]], "denoise/uniform/half_sse", noise="uniform")
    clean = frame([[[3.0]]], "denoise/uniform/half_sse", noise="none")
    table = pivot(pd.concat([normal, uniform, clean], ignore_index=True), "denoise/own/half_sse")
    assert {row.noise: cell.mean for row, _, cell in table} == {"normal": 1.0, "uniform": 2.0}


def test_rows_whose_runs_were_not_measured_are_left_out():
    runs = pd.concat([frame([[[1.0]]], "marginal/nll"), frame([[[1.0]], [[1.0]]])], ignore_index=True)
    runs = runs.drop(index=1)
    assert [row.dataset for row in pivot(runs, "marginal/nll").cells] == ["d0"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pivot(frame([[[1.0]]]), "reconstruct/clean/fid"), "no run has reconstruct/clean/fid; there are "),
        (lambda: pivot(frame([[[1.0]]]), METRIC, 0), "level must be a number in"),
        (lambda: pivot(frame([[[1.0]]]), METRIC, 1.5), "level must be a number in"),
        (lambda: pivot(pd.concat([frame([[[1.0]]])] * 2), METRIC), "two runs are seed 0 of one cell"),
    ],
)
def test_bad_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("names", "direction"),
    [
        ("half_sse mse_per_pixel l1_per_pixel nll mmd fid kid sliced_wasserstein cross_entropy", -1),
        ("elbo log_likelihood psnr ssim accuracy knn_accuracy linear_accuracy", 1),
        ("kl mmd_floor sliced_wasserstein_floor mmd_p nll_standard_error tail_mmd tail_share hill q99 active_units", 0),
        ("mmd_linear tail_ks q99_error columns_q999_error columns_q999_error_true xi_hill_error_true chi95_error", -1),
        ("tail_ks_p tail_ks_floor q99_error_floor columns_q99_error_true_floor q99_low xi_hill chi95_real", 0),
    ],
)
def test_every_metric_has_a_better_direction(names, direction):
    assert {name for name in names.split() if better(f"any/{name}") == direction} == set(names.split())
