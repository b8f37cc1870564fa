"""Measures of tails, against their formulas, scipy and the truth of known distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from tests.support.device import OPENED_ON
from vae_hydra.analysis import measures
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.analysis.tail_measures import ratio_interval, tail_measures
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.studies.reporting.measures import title, unit


@dataclass
class Margins:
    """The truth of columns that have scipy's distributions."""

    distributions: list
    tail_index: list[float]

    def quantile(self, probability: float, column: int) -> float:
        return float(self.distributions[column].ppf(probability))


TRUTH = Margins([scipy.stats.pareto(2.0), scipy.stats.norm(3.0, 1.0)], [2.0, math.inf])


def draw(count: int, seed: int) -> torch.Tensor:
    columns = [one.rvs(count, random_state=seed + 100 * at) for at, one in enumerate(TRUTH.distributions)]
    return torch.from_numpy(np.stack(columns, axis=1))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def measured(generated, real, **options) -> dict[str, float]:
    return tail_measures(generated, real, 9, generator(), kernel_examples=100, **options)


def test_ks_is_the_greatest_gap_within_the_tail():
    generated, real = 1.5 * draw(3000, 1), draw(2000, 2)
    radii = [(x - real.median(0).values).norm(dim=1).numpy() for x in (generated, real)]
    start = np.sort(radii[1])[1899]
    tails = [r[r > start] for r in radii]
    points = np.concatenate(tails)
    gaps = [abs((tails[0] <= point).mean() - (tails[1] <= point).mean()) for point in points]
    found = measured(generated, real)
    assert found["tail_ks"] == pytest.approx(max(gaps))
    assert found["tail_ks_p"] == pytest.approx(scipy.stats.ks_2samp(*tails).pvalue)
    assert found["tail_share"] == len(tails[0]) / 3000
    assert found["tail_share_real"] == 0.05


def test_ks_p_values_are_uniform_for_equal_distributions():
    torch.manual_seed(1)
    t = torch.distributions.StudentT(4.0)
    p_values = [measured(t.sample((2000, 1)), t.sample((1500, 1)))["tail_ks_p"] for _ in range(100)]
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 1e-3


def test_quantile_errors_of_a_sample_twice_as_wide():
    real = draw(20_000, 3)
    found = measured(2 * real, real, truth=TRUTH)
    centre = np.median(real, axis=0)
    for name, level in (("q99", 0.99), ("q999", 0.999), ("q9999", 0.9999)):
        assert found[f"{name}_error"] == pytest.approx(abs(found[name] - 1))
        quantiles = np.sort(real.numpy(), axis=0)[round(level * 20_000) - 1]
        assert found[f"columns_{name}_error"] == pytest.approx((quantiles / (quantiles - centre)).mean(), rel=1e-3)
    # Against the truth, the sample's own error is added to that of its scale.
    known, middle = (np.array([TRUTH.quantile(level, column) for column in (0, 1)]) for level in (0.99, 0.5))
    expected = (known / (known - middle)).mean()
    assert found["columns_q99_error_true"] == pytest.approx(expected, rel=0.03)
    assert measured(real, real, truth=TRUTH)["columns_q99_error_true"] < 0.05


def test_column_errors_depend_on_neither_location_nor_scale():
    generated, real = draw(5000, 4), draw(5000, 5)
    moved = [x * torch.tensor([1e-3, 1e4]) + torch.tensor([5.0, -1e6]) for x in (generated, real)]
    for name in ("columns_q99_error", "columns_q999_error", "columns_q9999_error"):
        assert measured(*moved)[name] == pytest.approx(measured(generated, real)[name], rel=1e-5)


def test_a_constant_column_is_right_or_infinitely_wrong():
    real = torch.zeros(500, 1)
    assert measured(real, real)["columns_q99_error"] == 0
    assert measured(real + 1, real)["columns_q99_error"] == math.inf


def test_shape_errors_against_the_truth():
    """Column by column; ξ = 1/2 and 0."""
    sample = draw(100_000, 6)
    found = measured(sample, sample, truth=TRUTH)
    # At 1 % the normal column's Hill estimate is far from 0: it is 1/0.01·∫ P(X > x)/x dx.
    normal = TRUTH.distributions[1]
    hill = scipy.integrate.quad(lambda x: normal.sf(x) / x, normal.isf(0.01), 20)[0] / 0.01
    error = 4 * 0.5 / math.sqrt(1000)
    assert found["xi_hill_error_true"] == pytest.approx(hill / 2, abs=error / 2 + 0.004)
    assert found["xi_moment_error_true"] < 0.2
    assert found["xi_pickands_error_true"] < 0.5
    assert found["xi_hill"] == pytest.approx(1 / found["hill"])
    # The radius is as heavy as the heavier column.
    assert found["xi_hill_real"] == pytest.approx(0.5, abs=0.1)
    unknown = measured(sample, sample)
    assert not [name for name in unknown if name.endswith("_true")]
    # Negative values have no logarithm, and a column without an estimate is infinitely wrong.
    assert measured(-sample, sample, truth=TRUTH)["xi_hill_error_true"] == math.inf


def test_dependence_of_tails():
    rng = np.random.default_rng(0)
    shared = rng.standard_cauchy(20_000)
    together = torch.from_numpy(np.stack([shared, shared, rng.standard_normal(20_000)], 1))
    apart = torch.from_numpy(rng.standard_normal((20_000, 3)))
    found = measured(together, apart)
    for level in (0.95, 0.99):
        name, error = f"chi{level * 100:.0f}", 4 * math.sqrt((1 - level) / (20_000 * (1 - level)))
        assert found[f"{name}_real"] == pytest.approx(1 - level, abs=error)
        assert found[name] == pytest.approx((1 + 2 * (1 - level)) / 3, abs=error)
        assert found[f"{name}_error"] == pytest.approx(level / 3, abs=2 * error)
    assert not [name for name in measured(apart[:, :1], apart[:, :1]) if name.startswith("chi")]


def test_a_threshold_is_a_distance_from_0_and_a_line_has_two_tails():
    torch.manual_seed(0)
    t = torch.distributions.StudentT(3.0)
    real, generated = t.sample((20_000, 1)), t.sample((20_000, 1))
    # Only the right tail is wrong.
    generated = torch.where(generated > 4, generated + 4, generated)
    found = tail_measures(generated, real, 99, generator(), threshold=4.0)
    assert found["tail_share_real"] == pytest.approx(2 * scipy.stats.t(3).sf(4), rel=0.1)
    assert found["right_tail_linear_p"] < 0.05 < found["left_tail_linear_p"]
    assert found["right_tail_mmd_linear"] > 0.1 > abs(found["left_tail_mmd_linear"])
    assert found["tail_p"] == 0.01
    plane = tail_measures(generated.expand(-1, 2), real.expand(-1, 2), 9, generator(), threshold=4.0)
    assert "tail_linear_p" in plane
    assert "right_tail_linear_p" not in plane
    # Nothing lies beyond: no test of the tail.
    beyond = tail_measures(generated, real, 9, generator(), threshold=1e9)
    assert (beyond["tail_share"], beyond["tail_share_real"]) == (0, 0)
    assert not [name for name in beyond if name.startswith("tail_") and "share" not in name]


def test_resampled_quantiles_are_those_of_resamples(monkeypatch):
    """The interval's ends, against 4,000 resamples drawn value by value."""
    monkeypatch.setattr("vae_hydra.analysis.tail_measures.RESAMPLES", 20_000)
    rng = np.random.default_rng(1)
    x, y = rng.standard_exponential(300), rng.standard_exponential(200)
    level = 0.9
    ratios = [
        np.sort(rng.choice(x, 300))[round(level * 300) - 1] / np.sort(rng.choice(y, 200))[round(level * 200) - 1]
        for _ in range(4000)
    ]
    found = ratio_interval(torch.from_numpy(x), torch.from_numpy(y), level, rng)
    for end, share in zip(found, (0.025, 0.975), strict=True):
        assert np.mean(np.array(ratios) <= end) == pytest.approx(share, abs=0.012)


def test_the_interval_covers_the_true_ratio_as_often_as_it_says():
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(200):
        x, y = 3 * rng.pareto(3, 4000), rng.pareto(3, 3000)
        low, high = ratio_interval(torch.from_numpy(x), torch.from_numpy(y), 0.99, rng)
        covered.append(low <= 3 <= high)
    # 95 %, with four standard deviations of 200 trials, and 2 % for the bootstrap's own error.
    assert np.mean(covered) > 0.95 - 4 * 0.0154 - 0.02
    assert np.mean(covered) < 1


def test_an_infinite_value_makes_what_it_touches_infinite_or_unknown():
    generated, real = draw(5000, 1), draw(5000, 2)
    generated[:3] = math.inf
    found = measured(generated, real, truth=TRUTH)
    assert found["q9999"] == found["q9999_high"] == found["columns_q9999_error_true"] == math.inf
    assert found["q99"] < 3
    assert math.isnan(found["tail_mmd"]) == math.isnan(found["tail_p"]) is True
    assert 0 < found["tail_ks"] < 1


def test_everything_has_a_floor_but_p_values_and_intervals(configure, monkeypatch):
    """Training and test examples have one distribution; those that stand for generated ones have another."""
    module, data = build_experiment(configure("dataset=lognormal_2d", "dataset.fraction=0.1"))
    data.truth = Margins([scipy.stats.lognorm(0.4)] * 2, [math.inf] * 2)
    monkeypatch.setattr(
        measures, "_generate", lambda module, labels, draw: 2 * data.shuffled("train", generator(), len(labels)).x
    )
    scores = measures.generation(module, data, "test", 2000, 9, kernel_examples=100)
    names = {name.removeprefix("generation/") for name in scores}
    own = {name for name in names if not name.endswith(("_floor", "_real", "_p", "_low", "_high"))}
    assert {f"{name}_floor" for name in own} == {name for name in names if name.endswith("_floor")}
    assert {"mmd_linear", "tail_ks", "q999_error", "columns_q9999_error_true", "xi_moment_error_true"} <= own
    for name in ("tail_ks", "columns_q99_error", "mmd_linear", "q99_error"):
        assert 2 * abs(scores[f"generation/{name}_floor"]) < scores[f"generation/{name}"]
    assert scores["generation/tail_share_floor"] == pytest.approx(0.05, abs=0.02)


def test_options_of_the_tail_are_in_the_name_and_in_the_record(configure):
    sizes = ("dataset.train_size=300", "dataset.test_size=300", "trainer.max_epochs=1")
    config = configure("dataset=student_t_mixture", "dataset.dimensions=1", *sizes)
    train(config)
    folder = Run.of(config).folder
    request = (f"run={folder}", OPENED_ON, "generation.samples=300", "generation.permutations=9")
    by_level = evaluate(configure(*request, name="evaluate"))
    by_threshold = evaluate(configure(*request, "generation.tail_threshold=2", name="evaluate"))
    evaluate(configure(*request, "generation.tail_level=0.9", "generation.kernel_examples=50", name="evaluate"))
    assert by_level["generation/tail_share_real"] == pytest.approx(0.05)
    real = build_experiment(config).data.splits["test"].x
    assert by_threshold["generation/tail_share_real"] == pytest.approx((real.abs() > 2).double().mean().item())
    assert by_threshold["generation/q99"] == by_level["generation/q99"]
    names = sorted(path.stem for path in (folder / "evaluations").iterdir())
    stem = "best-test-generation300x9"
    assert names == [stem, f"{stem}-beyond2.0", f"{stem}-kernel50-tail0.9"]


def test_every_measure_of_tails_has_a_title_and_a_unit():
    rows = draw(2000, 7)
    found = set(measured(rows, rows, truth=TRUTH)) | set(measured(rows[:, :1], rows[:, :1]))
    names = {f"{name}{ending}" for name in found for ending in ("", "_floor")} | {"mmd_linear", "mmd_linear_p"}
    titles = {name: title(f"generation/{name}") for name in names}
    assert not [name for name, text in titles.items() if text.startswith(name)]
    assert len(set(titles.values())) == len(titles)
    assert all(unit(f"generation/{name}") not in ("", name) for name in names)
