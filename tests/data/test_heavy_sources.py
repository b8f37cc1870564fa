"""Generated heavy tails: draws, true quantiles and tail indices against scipy, series and slopes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from tests.support.composing import composed
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Margin, TrueMargins
from vae_hydra.data.sources.alpha_stable import draw_alpha_stable
from vae_hydra.data.sources.copula import draw_copula
from vae_hydra.data.sources.generalised_pareto import draw_generalised_pareto
from vae_hydra.data.sources.lognormal_2d import draw_lognormal_2d
from vae_hydra.data.sources.pareto import draw_pareto
from vae_hydra.data.sources.student_t_correlated import draw_student_t_correlated
from vae_hydra.distributions import alpha_stable
from vae_hydra.runs.build import build_data

SIZES = {"train_size": 20_000, "test_size": 5_000, "seed": 0}
PROBABILITIES = (1e-6, 0.01, 0.3, 0.5, 0.9, 0.999, 1 - 1e-6)
MARGINS = [
    {"family": "pareto", "tail_index": 2.5},
    {"family": "student_t", "df": 3.0, "loc": 1.0, "scale": 2.0},
    {"family": "lognormal", "loc": 0.5, "scale": 0.7},
    {"family": "gamma", "concentration": 2.0, "rate": 3.0},
    {"family": "normal", "loc": -1.0, "scale": 0.5},
]
EXACT = [
    scipy.stats.pareto(2.5),
    scipy.stats.t(3.0, 1.0, 2.0),
    scipy.stats.lognorm(0.7, scale=math.exp(0.5)),
    scipy.stats.gamma(2.0, scale=1 / 3),
    scipy.stats.norm(-1.0, 0.5),
]
INDICES = [2.5, 3.0, math.inf, math.inf, math.inf]


def pareto(**options):
    return draw_pareto(**{"tail_index": 2.0, "dimensions": 3, **SIZES, **options})


def generalised(**options):
    return draw_generalised_pareto(
        **{"shape": 0.4, "scale": 2.0, "symmetric": False, "dimensions": 2, **SIZES, **options}
    )


def stable(**options):
    return draw_alpha_stable(**{"alpha": 1.7, "beta": 0.5, "dimensions": 2, **SIZES, **options})


def correlated(**options):
    return draw_student_t_correlated(**{"df": 3.0, "correlation": 0.6, "dimensions": 3, **SIZES, **options})


def copula(**options):
    defaults = {"copula": "gaussian", "correlation": 0.5, "df": 3.0, "margins": MARGINS, "dimensions": 5}
    return draw_copula(**{**defaults, **SIZES, **options})


class _Symmetric:
    """A random sign times a positive scipy distribution."""

    def __init__(self, positive):
        self.positive = positive

    def cdf(self, x):
        return np.where(x < 0, self.positive.sf(-x) / 2, 1 - self.positive.sf(x) / 2)

    def ppf(self, p):
        return -self.positive.isf(2 * p) if p < 0.5 else self.positive.isf(2 * (1 - p))

    def isf(self, p):
        return -self.ppf(p)


# Source, and scipy's distribution and the tail index of each column.
CASES = {
    "pareto": (pareto, [scipy.stats.pareto(2.0)] * 3, [2.0] * 3),
    "generalised pareto": (generalised, [scipy.stats.genpareto(0.4, scale=2.0)] * 2, [2.5] * 2),
    "exponential": (lambda: generalised(shape=0.0), [scipy.stats.expon(scale=2.0)] * 2, [math.inf] * 2),
    "symmetric": (
        lambda: generalised(symmetric=True),
        [_Symmetric(scipy.stats.genpareto(0.4, scale=2.0))] * 2,
        [2.5] * 2,
    ),
    "stable, Cauchy": (lambda: stable(alpha=1.0, beta=0.0), [scipy.stats.cauchy()] * 2, [1.0] * 2),
    "stable, Normal": (lambda: stable(alpha=2.0), [scipy.stats.norm(scale=math.sqrt(2))] * 2, [math.inf] * 2),
    "stable, Lévy": (lambda: stable(alpha=0.5, beta=1.0), [scipy.stats.levy()] * 2, [0.5] * 2),
    "correlated t": (correlated, [scipy.stats.t(3.0)] * 3, [3.0] * 3),
    "gaussian copula": (copula, EXACT, INDICES),
    "t copula": (lambda: copula(copula="student_t"), EXACT, INDICES),
    "one margin for all": (
        lambda: copula(margins=MARGINS[:1], dimensions=2),
        EXACT[:1] * 2,
        INDICES[:1] * 2,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_draws_quantiles_and_tail_indices_are_scipys(case):
    make, exact, indices = CASES[case]
    source = make()
    assert source.truth.tail_index == indices
    for part, size in ((source.train, 20_000), (source.test, 5_000)):
        assert (part.x.shape, part.x.dtype, part.y.dtype) == ((size, len(exact)), torch.float32, torch.int64)
        assert not part.y.any()
        for column, distribution in enumerate(exact):
            points = part.x[:, column].double().numpy()
            assert scipy.stats.kstest(points, distribution.cdf).pvalue > 1e-3
    for column, distribution in enumerate(exact):
        for p in PROBABILITIES:
            expected = distribution.ppf(p) if p < 0.5 else distribution.isf(1 - p)
            found = source.truth.quantile(p, column)
            assert isinstance(found, float)
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_tail_index_is_the_slope_of_the_survival_function(case):
    make, _, indices = CASES[case]
    truth = make().truth
    far, farther = 1e-9, 1e-12
    for column, index in enumerate(indices):
        one, other = (truth.quantile(1 - tail, column) for tail in (far, farther))
        slope = math.log((1 - (1 - far)) / (1 - (1 - farther))) / math.log(other / one) if one > 0 else math.inf
        if math.isfinite(index):
            assert slope == pytest.approx(index, rel=0.01)
        else:
            assert slope > 5


def by_series(x, alpha, beta, terms=40):
    """P(X > x) of an α-stable X by Bergström's series, which converges for α < 1 and is asymptotic for α > 1."""
    phi = math.atan(beta * math.tan(math.pi * alpha / 2))
    total, last = 0.0, math.inf
    for k in range(1, terms):
        size = math.gamma(alpha * k) / math.factorial(k) * x ** (-alpha * k) * math.cos(phi) ** -k
        if size > last:
            break
        total, last = total - (-1) ** k * size * math.sin(k * (math.pi * alpha / 2 + phi)) / math.pi, size
    return total


@pytest.mark.parametrize(("alpha", "beta"), [(1.7, 0.0), (1.2, 1.0), (1.95, 0.3), (0.8, 0.5), (0.5, 1.0), (1.5, -0.5)])
def test_stable_quantiles_in_the_middle_are_scipys_and_far_out_those_of_the_series(alpha, beta):
    exact = scipy.stats.levy_stable(alpha, beta)
    for p in (0.01, 0.3, 0.5, 0.9):
        assert exact.cdf(alpha_stable.quantile(p, alpha, beta)) == pytest.approx(p, abs=1e-9)
    for tail in (1e-4, 1e-6, 1e-9):
        x = alpha_stable.quantile(1 - tail, alpha, beta)
        assert by_series(x, alpha, beta) == pytest.approx(1 - (1 - tail), rel=1e-6)
        # Its mirror image.
        assert alpha_stable.quantile(tail, alpha, -beta) == pytest.approx(-x, rel=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(1.7, 0.5), (0.8, -0.5)])
def test_stable_draws_follow_scipys_cdf(alpha, beta):
    x = stable(alpha=alpha, beta=beta, dimensions=1, train_size=2000).train.x[:, 0].double().numpy()
    # scipy's own CDF is wrong beyond 1 − 10⁻⁴.
    grid = np.quantile(x, np.linspace(0.005, 0.995, 100))
    shares = np.searchsorted(np.sort(x), grid, side="right") / len(x)
    assert np.abs(shares - scipy.stats.levy_stable.cdf(grid, alpha, beta)).max() < 1.95 / math.sqrt(len(x))


def test_columns_are_independent_where_they_should_be():
    for make in (pareto, generalised, stable):
        correlations = scipy.stats.spearmanr(make(dimensions=3).train.x.numpy()).statistic
        assert np.abs(correlations - np.eye(3)).max() < 5 / math.sqrt(20_000)


@pytest.mark.parametrize("correlation", [-0.2, 0.0, 0.6])
@pytest.mark.parametrize("kind", ["gaussian", "student_t", "correlated"])
def test_kendalls_tau_is_that_of_the_correlation(kind, correlation):
    """τ = (2/π)·arcsin ρ for every elliptical copula, whatever the margins."""
    if kind == "correlated":
        source = correlated(correlation=correlation)
    else:
        source = copula(copula=kind, correlation=correlation)
    x = source.train.x[:4000].numpy()
    for column in range(1, x.shape[1]):
        tau = scipy.stats.kendalltau(x[:, 0], x[:, column]).statistic
        assert tau == pytest.approx(2 / math.pi * math.asin(correlation), abs=0.05)


def test_columns_of_a_t_copula_are_extreme_together_and_of_a_gaussian_are_not():
    """Share of the largest 1 % of one column that is among those of the other; λ of the t copula is its limit."""

    def share(kind):
        x = copula(copula=kind, correlation=0.5, df=2.0, margins=MARGINS[:1], dimensions=2, train_size=200_000).train.x
        above = x > x.quantile(0.99, dim=0)
        return (above.all(1).sum() / above[:, 0].sum()).item()

    limit = 2 * scipy.stats.t(3).cdf(-math.sqrt(3 * 0.5 / 1.5))
    assert share("student_t") == pytest.approx(limit, abs=0.05)
    # P(Z₁ and Z₂ > 2.326) of N(0, 1) with correlation ½, over 0.01.
    both = scipy.stats.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]]).cdf([-2.3263, -2.3263])
    assert share("gaussian") == pytest.approx(both / 0.01, abs=0.02)


@pytest.mark.parametrize("make", [pareto, generalised, stable, correlated, copula])
def test_draws_are_a_function_of_the_seed(make):
    one, same, other = (make(train_size=50, test_size=20, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.train.x, same.train.x)
    assert torch.equal(one.test.x, same.test.x)
    assert not torch.equal(one.train.x, other.train.x)


def test_the_data_module_knows_the_truth_in_the_units_of_restore():
    overrides = ("dataset=pareto", "dataset.train_size=2000", "dataset.transform=log1p", "dataset.scaling=standard")
    data = build_data(composed(*overrides, "dataset.tail_index=4"))
    assert data.truth.tail_index == [4.0, 4.0]
    restored = data.restore(data.prepared("train").x)
    assert restored.min() == pytest.approx(1, abs=1e-3)
    assert restored.quantile(0.9) == pytest.approx(data.truth.quantile(0.9, 0), rel=0.05)
    assert DataModule(draw_lognormal_2d("raw", 0), 100).truth is None


def test_probabilities_of_quantiles_are_checked():
    truth = TrueMargins([Margin(2.0, lambda p: p)])
    assert truth.quantile(0.25, 0) == 0.25
    for probability in (0, 1, math.nan):
        with pytest.raises(ValueError, match=r"probability must be a number in \(0, 1\)"):
            truth.quantile(probability, 0)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (pareto, {"tail_index": 0}, "dataset.tail_index must be a number > 0, but got 0"),
        (pareto, {"dimensions": 0}, "dataset.dimensions must be an integer ≥ 1, but got 0"),
        (pareto, {"train_size": 0}, "dataset.train_size must be an integer ≥ 1"),
        (pareto, {"seed": -1}, "dataset.seed must be an integer ≥ 0"),
        (pareto, {"tail_index": 0.01}, "some draws are beyond single precision"),
        (generalised, {"shape": -0.1}, "dataset.shape must be a number ≥ 0, but got -0.1"),
        (generalised, {"scale": 0}, "dataset.scale must be a number > 0"),
        (generalised, {"symmetric": 1}, "dataset.symmetric must be true or false"),
        (stable, {"alpha": 2.5}, r"dataset.alpha must be a number in \(0, 2\], but got 2.5"),
        (stable, {"beta": 2}, "dataset.beta must be a number from −1 to 1, but got 2"),
        (stable, {"beta": "x"}, "dataset.beta must be a finite number, but got 'x'"),
        (stable, {"alpha": 1.0}, "dataset.alpha must be 1 with dataset.beta=0, or at least 0.02 from 1"),
        (correlated, {"df": 0}, "dataset.df must be a number > 0"),
        (
            correlated,
            {"correlation": -0.6},
            "dataset.correlation must be a number from -0.5 to 1 with .*=3, but got -0.6",
        ),
        (copula, {"copula": "clayton"}, "dataset.copula must be one of gaussian, student_t"),
        (copula, {"margins": MARGINS[:2]}, "dataset.margins must be a list of one group for all columns"),
        (copula, {"margins": "pareto"}, "dataset.margins must be a list"),
        (copula, {"margins": [{"family": "cauchy"}]}, r"dataset.margins\[0\].family must be one of pareto"),
        (copula, {"margins": [{"family": "pareto"}]}, r"dataset.margins\[0\].tail_index must be .* but got None"),
        (copula, {"margins": [{"family": "normal", "df": 3}]}, "normal has the options loc, scale, but got df"),
        (copula, {"margins": ["pareto"]}, r"dataset.margins\[0\] must be a group of options"),
    ],
)
def test_bad_options_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
