"""Distances between samples and tails, against direct formulas, scipy and known distributions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from tests.support.device import OPENED_ON
from vae_hydra.analysis import two_samples
from vae_hydra.analysis.codes import latent_measures
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.analysis.kernel_tests import mmd_permutation_test
from vae_hydra.analysis.measures import generation
from vae_hydra.analysis.tail_measures import tail_measures
from vae_hydra.analysis.two_samples import distances, sliced_wasserstein
from vae_hydra.distributions.tails import hill_statistic
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mmd_is_its_definition():
    x, y = torch.randn(7, 2), torch.randn(9, 2) + 1
    pooled = torch.cat([x, y]).double().numpy()
    gaps = np.array([[np.linalg.norm(a - b) for b in pooled] for a in pooled])
    # torch's median is the lower of the two in the middle.
    scale = np.sort(gaps[~np.eye(16, dtype=bool)])[(16 * 15 - 1) // 2]
    kernel = np.exp(-(gaps**2) / (2 * scale**2))
    # Means over pairs of different examples.
    within = [(kernel[part, part].sum() - n) / (n * (n - 1)) for part, n in ((slice(7), 7), (slice(7, 16), 9))]
    expected = sum(within) - 2 * kernel[:7, 7:].mean()
    assert mmd_permutation_test(x, y, 10, generator())[0] == pytest.approx(expected, rel=1e-5)


def test_p_values_are_uniform_for_equal_distributions_and_small_for_others():
    torch.manual_seed(3)
    same = [mmd_permutation_test(torch.randn(60, 2), torch.randn(60, 2), 99, generator(i))[1] for i in range(60)]
    assert scipy.stats.kstest(same, "uniform").pvalue > 1e-3
    shifted = mmd_permutation_test(torch.randn(200, 2), torch.randn(200, 2) + 1, 99, generator())
    assert shifted[1] == 0.01


def test_mmd_is_unbiased_whatever_the_number_of_examples():
    torch.manual_seed(4)
    for count in (20, 200):
        values = [
            mmd_permutation_test(torch.randn(count, 2), torch.randn(count, 2), 1, generator())[0] for _ in range(100)
        ]
        assert abs(np.mean(values)) < 4 * np.std(values) / 10


def test_equal_samples_have_no_distance():
    x = torch.randn(50, 3)
    measures = distances(x, x, 50, generator())
    assert measures["mmd"] < 0.01
    assert measures["mmd_p"] > 0.5
    assert measures["sliced_wasserstein"] == 0


def test_sliced_wasserstein_is_scipys_on_the_line_and_a_shift_in_space():
    x, y = torch.randn(500, 1), 2 * torch.randn(500, 1)
    expected = scipy.stats.wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert sliced_wasserstein(x, y, 3, generator()) == pytest.approx(expected, rel=1e-5)
    # A shift by v moves a projection by |u·v|, whose mean in the plane is 2‖v‖/π.
    points = torch.randn(300, 2)
    moved = sliced_wasserstein(points, points + torch.tensor([3.0, 4.0]), 20_000, generator())
    assert moved == pytest.approx(5 * 2 / math.pi, rel=0.01)


@pytest.mark.parametrize("alpha", [1.5, 3.0])
def test_hill_statistic_of_a_pareto_sample_is_its_exponent(alpha):
    sample = torch.from_numpy(scipy.stats.pareto(alpha).rvs(200_000, random_state=0))
    assert hill_statistic(sample) == pytest.approx(alpha, rel=4 / math.sqrt(2000))


def hill_of(distribution, share: float) -> float:
    """The Hill statistic of a population, by quadrature: 1/E[ln(X/t) | X > t] = P(X > t)/∫ P(X > x)/x dx, x > t."""
    t, far = distribution.isf(share), distribution.isf(1e-6 * share)
    integral, _ = scipy.integrate.quad(lambda u: distribution.sf(t * math.exp(u)), 0, math.log(far / t), epsabs=0)
    return share / integral


def test_hill_statistic_of_an_inverse_gaussian_grows_without_end():
    """It is no tail index: the Inverse Gaussian's tail is finally exponential and has none."""
    inverse_gaussian = scipy.stats.invgauss(1 / 0.01, scale=0.01)
    shares = (1e-2, 1e-3, 1e-4, 1e-5)
    statistics = [hill_of(inverse_gaussian, share) for share in shares]
    assert all(later > earlier + 0.5 for earlier, later in itertools.pairwise(statistics))
    assert statistics[0] < 1.6
    assert statistics[-1] > 5
    sample = torch.from_numpy(inverse_gaussian.rvs(200_000, random_state=1))
    for share in shares[:2]:
        assert hill_statistic(sample, share) == pytest.approx(hill_of(inverse_gaussian, share), rel=0.25)


def test_tail_p_values_are_uniform_for_equal_distributions():
    """The real examples decide where the tail begins, and the test within it stays exact."""
    torch.manual_seed(5)
    t = torch.distributions.StudentT(5.0)
    p_values = []
    for number in range(200):
        generated, real = t.sample((900, 2)), t.sample((600, 2))
        p_values.append(tail_measures(generated, real, 49, generator(number))["tail_p"])
    # p takes the values 1/50, 2/50 … 1; spread within their steps, it is uniform on [0, 1].
    spread = np.array(p_values) - np.random.default_rng(0).uniform(0, 1 / 50, len(p_values))
    assert scipy.stats.kstest(spread, "uniform").pvalue > 1e-3


def test_tail_measures_of_a_sample_like_the_real_one_and_of_one_twice_as_wide():
    torch.manual_seed(1)
    t = torch.distributions.StudentT(5.0)
    real, like, wide = t.sample((50_000, 1)), t.sample((50_000, 1)), 2 * t.sample((50_000, 1))
    same = tail_measures(like, real, 99, generator())
    assert same["tail_share"] == pytest.approx(0.05, abs=0.004)
    assert same["q99"] == pytest.approx(1, abs=0.05)
    assert same["tail_p"] > 0.01
    assert same["hill"] == pytest.approx(same["hill_real"], rel=0.2)
    twice = tail_measures(wide, real, 99, generator())
    # P(|2T| > q) for the 95 % quantile q of |T|.
    quantile = scipy.stats.t(5).ppf(0.975)
    assert twice["tail_share"] == pytest.approx(2 * scipy.stats.t(5).sf(quantile / 2), rel=0.05)
    assert twice["q99"] == pytest.approx(2, rel=0.07)
    assert twice["tail_p"] == 0.01


def test_a_sample_without_a_tail():
    real = torch.distributions.StudentT(3.0).sample((5_000, 2))
    measures = tail_measures(torch.zeros(1000, 2), real, 10, generator())
    assert measures["tail_share"] == 0
    assert measures["q99"] < 0.02
    assert measures["hill"] == math.inf
    assert "tail_p" not in measures


@pytest.mark.parametrize(
    "overrides",
    [
        ("dataset=lognormal_2d", "+trainer.limit_train_batches=20"),
        (*("classifier=mlp", "classifier.labelled=0.02"), *("likelihood=bernoulli", "dataset.binarise=dynamic")),
        pytest.param(("sampler=deterministic",), marks=pytest.mark.slow),
    ],
)
def test_evaluate_measures_generation_and_codes(overrides, configure, quick_recipe):
    config = configure(*overrides)
    train(config)
    request = (f"run={Run.of(config).folder}", OPENED_ON, "generation.samples=300", "latents=true")
    options = (*request, "generation.permutations=20")
    scores = evaluate(configure(*options, name="evaluate"))
    # After two epochs, generated examples are further from the data than other real examples are.
    assert scores["generation/mmd"] > 3 * abs(scores["generation/mmd_floor"])
    assert scores["generation/mmd_p"] == pytest.approx(1 / 21)
    assert scores["generation/sliced_wasserstein"] > scores["generation/sliced_wasserstein_floor"] > 0
    assert ("generation/q99" in scores) == ("dataset=lognormal_2d" in overrides)
    assert 0.3 < scores["latents/knn_accuracy"] <= 1
    assert evaluate(configure(*options, name="evaluate")) == scores
    names = [path.name for path in (Run.of(config).folder / "evaluations").iterdir()]
    assert names == ["best-test-generation300x20-latents.json"]


def test_a_perfect_generator_is_at_the_floor(configure, monkeypatch):
    """For binary images, draws are compared, not means."""
    config = configure("likelihood=bernoulli", "dataset.binarise=static", "trainer.max_epochs=1")
    train(config)
    module = build_experiment(config).module
    data = build_experiment(config).data
    grey = build_experiment(configure("likelihood=bernoulli")).data.prepared("train").x

    def perfect(z, y=None):
        return torch.distributions.Independent(torch.distributions.Bernoulli(grey[: len(z)]), 3)

    monkeypatch.setattr(module.vae, "decode", perfect)
    assert generation(module, data, "test", 300, 99)["generation/mmd_p"] > 0.01


def test_vectors_are_compared_before_their_transform(configure):
    config = configure("dataset=inverse_gaussian_2d", "dataset.transform=log1p", "+trainer.limit_train_batches=2")
    train(config)
    module, data = build_experiment(config)
    raw = data.splits["test"].x
    scores = generation(module, data, "test", 200, 5)
    assert scores["generation/hill_real"] == pytest.approx(
        hill_statistic((raw - raw.median(0).values).norm(dim=1)), rel=1e-3
    )


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("generation.samples=5", "generation.samples must be 0 or at least 100, but got 5"),
        ("generation=100", "generation must be a group of options, but got 100"),
        ("nll=200", "nll must be a group of options, but got 200"),
        ("generation.features=1", "generation.features must be true or false, but got 1"),
        ("generation.kernel_examples=5", "generation.kernel_examples must be an integer ≥ 20, but got 5"),
        ("generation.tail_level=1", "generation.tail_level must be a number in \\[0, 1\\), but got 1"),
        ("generation.tail_threshold=0", "generation.tail_threshold must be a number > 0, but got 0"),
        ("latents=5", "latents must be true or false, but got 5"),
    ],
)
def test_bad_requests_are_refused(request_, message, configure):
    config = configure("trainer.max_epochs=1")
    train(config)
    options = configure(f"run={Run.of(config).folder}", OPENED_ON, name="evaluate")
    key, value = request_.split("=")
    *parent, leaf = key.split(".")
    (options[parent[0]] if parent else options)[leaf] = int(value)
    with pytest.raises(ValueError, match=message):
        evaluate(options)


def test_a_distance_and_its_floor_are_of_samples_of_one_size(configure, quick_recipe, monkeypatch):
    """The sliced Wasserstein distance falls with the size of the samples."""
    sizes = []

    def remember(x, y, projections, generator):
        sizes.append((len(x), len(y)))
        return sliced_wasserstein(x, y, projections, generator)

    monkeypatch.setattr(two_samples, "sliced_wasserstein", remember)
    config = configure("dataset.fraction=0.1", "trainer.max_epochs=1", "test_noises=null")
    train(config)
    options = ("generation.samples=400", "generation.permutations=20", "generation.features=false")
    evaluate(configure(f"run={Run.of(config).folder}", OPENED_ON, *options, name="evaluate"))
    assert len(sizes) == 2
    assert len({size for pair in sizes for size in pair}) == 1


def test_outliers_are_no_errors_of_a_classifier_of_codes():
    codes = torch.cat([torch.randn(60, 2) + centre for centre in (-5.0, 5.0)])
    y = torch.arange(2).repeat_interleave(60)
    outliers = torch.cat([codes, torch.randn(40, 2)]), torch.cat([y, torch.full((40,), -1)])
    pure = latent_measures(codes, y, codes, y)
    assert pure["knn_accuracy"] == 1
    found = latent_measures(*outliers, *outliers)
    assert {name: found[name] for name in pure if name != "active_units"} == {
        name: value for name, value in pure.items() if name != "active_units"
    }
