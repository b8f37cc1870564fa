"""Slider positions, examples through the model and decoded points, without the page."""

from __future__ import annotations

import copy

import pytest
import torch
from scipy import stats
from torch.distributions import Distribution, Gamma, Laplace, LogNormal, Normal, constraints

from tests.support.composing import options
from tests.support.explored import untrained
from tests.support.reference import frozen
from vae_hydra.distributions import InverseGaussian, StudentT, Weibull, log_density
from vae_hydra.drawing.page.example import noise_titles
from vae_hydra.drawing.page.points import indices_of, medians, plane, traversals
from vae_hydra.drawing.page.sliders import LEAST, MOST, is_beyond, latents_at, positions_of
from vae_hydra.runs.trained import TrainedModel

POSITIVE = ("lognormal", "inverse_gaussian", "gamma", "weibull")
PRIORS = {
    "normal": Normal(0.3, 2.0),
    "lognormal": LogNormal(0.1, 0.7),
    "inverse_gaussian": InverseGaussian(1.0, 0.5),
    "student_t": StudentT(2.5, 0.2, 1.5),
    "laplace": Laplace(-1.0, 0.5),
    "gamma": Gamma(2.0, 3.0),
    "weibull": Weibull(1.0, 1.5),
}
POSITIONS = torch.tensor([LEAST, 0.05, 0.3, 0.5, 0.77, 0.95, MOST])


@pytest.mark.parametrize("name", PRIORS)
def test_sliders_go_through_the_priors_quantiles(name):
    prior = PRIORS[name]
    z = latents_at(prior, POSITIONS)
    torch.testing.assert_close(z.double(), torch.from_numpy(frozen(prior).ppf(POSITIONS.double())), rtol=1e-3, atol=0)
    torch.testing.assert_close(positions_of(prior, z).float(), POSITIONS, rtol=0, atol=1e-4)
    # Anywhere, not only where a slider has been.
    draws = prior.sample((200,))
    expected = torch.from_numpy(frozen(prior).cdf(draws.double())).clamp(LEAST, MOST)
    torch.testing.assert_close(positions_of(prior, draws), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", PRIORS)
def test_what_a_slider_cannot_reach_is_at_its_end(name):
    far = torch.tensor([-1e6, 1e6])
    torch.testing.assert_close(positions_of(PRIORS[name], far).tolist(), [LEAST, MOST])
    assert is_beyond(PRIORS[name], torch.cat([far, latents_at(PRIORS[name], POSITIONS)])).tolist() == [
        *(True, True),
        *(False for _ in POSITIONS),
    ]


class Exponential(Distribution):
    """A family of someone else, with quantiles and no cdf."""

    arg_constraints = {"rate": constraints.positive}

    def __init__(self, rate, validate_args=None):
        self.rate = torch.as_tensor(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def icdf(self, value):
        return -torch.log1p(-value) / self.rate


def test_a_family_without_a_cdf_has_positions_too():
    z = torch.tensor([0.1, 1.0])
    expected = torch.from_numpy(stats.expon(scale=0.5).cdf(z))
    torch.testing.assert_close(positions_of(Exponential(2.0), z).float(), expected.float())


@pytest.mark.parametrize("name", options("sampler"))
def test_an_example_goes_through_the_model(name, configure):
    model = untrained(configure, f"sampler={name}", "noise=uniform")
    trip = model.round_trip(3, "uniform", seed=1)
    vae = model.module.vae
    assert torch.equal(trip.original, model.test_examples.x[3])
    added = trip.fed - trip.original
    uniform = model.module.noise.distribution()
    assert uniform.low - 1e-6 <= added.min()
    assert added.max() <= uniform.high + 1e-6
    assert added.std() > 0.2 * (uniform.high - uniform.low)
    with torch.no_grad():
        q = vae.encode(trip.fed.unsqueeze(0))
        torch.testing.assert_close(trip.code, vae.sampler.code(q)[0])
        torch.testing.assert_close(trip.reconstruction, model.decode(trip.code, 0))
        if name == "deterministic":
            assert not trip.kl.any()
        else:
            draws = q.sample((20_000,))
            prior = vae.prior_distribution()
            is_joint = vae.kl_terms == 1
            both = [log_density(p, draws) if is_joint else p.log_prob(draws) for p in (q, prior)]
            log_ratio = both[0] - both[1]
            log_ratio = log_ratio[:, 0].reshape(20_000, vae.kl_terms)
            # Both may be estimates: within their errors.
            error = log_ratio.std(0) * (1 / 20_000 + 1 / 1000) ** 0.5
            assert ((trip.kl - log_ratio.mean(0)).abs() < 5 * error + 1e-4).all()
    if name in POSITIVE:
        assert (trip.code > 0).all()
        assert (medians(model) > 0).all()
    # The same seed draws the same noise, another one another, and looking changes no other draws.
    before = torch.get_rng_state()
    assert torch.equal(model.round_trip(3, "uniform", seed=1).fed, trip.fed)
    assert not torch.equal(model.round_trip(3, "uniform", seed=2).fed, trip.fed)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(model.round_trip(3, "none", seed=1).fed, trip.original)


def test_noises_are_the_runs_own_and_those_of_the_test(configure):
    noises = ["normal", "lognormal", "uniform", "inverse_gaussian"]
    assert list(untrained(configure).noises) == ["none", *noises]
    titles = noise_titles(untrained(configure, "sampler=normal", "noise=uniform"))
    assert set(titles.values()) == {"none", *noises}
    assert titles["uniform (as in training)"] == "uniform"


def test_stacked_noise_shows_one_of_its_channels(configure):
    model = untrained(configure, "noise=normal", "noise.mode=stacked")
    trip = model.round_trip(0, "normal", 0)
    assert trip.fed.shape == (1, 8, 8)
    assert not torch.equal(trip.fed, trip.original)
    assert not model.round_trip(0, "none", 0).fed.any()


def test_latents_are_ranked_by_their_kl(configure):
    """A latent whose posterior is the prior comes last; one whose posterior is far from it comes first."""
    model = untrained(configure)
    module = copy.deepcopy(model.module)
    layer = list(module.vae.encoder.modules())[-1]
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        layer.bias[2] = 3.0
        layer.bias[1] = 1.0
    measured = TrainedModel(module, model.data)
    # Of unit variance, so that KL(q‖p) = μ²/2.
    torch.testing.assert_close(measured.kl, torch.tensor([0.0, 0.5, 4.5, 0.0]), rtol=1e-4, atol=1e-4)
    assert measured.order == [2, 1, 0, 3]


def test_points_without_a_kl_are_ranked_by_how_they_spread(configure):
    model = untrained(configure, "sampler=deterministic", "noise=uniform")
    x = model.test_examples.x
    with torch.no_grad():
        codes = model.module.vae.encode(x).mean
    assert model.order[0] == int(codes.var(0).argmax())


@pytest.mark.parametrize("options", [(), ("model=conv",), ("dataset=lognormal_2d",)])
def test_traversals_and_the_plane_move_what_they_say_alone(options, configure):
    model = untrained(configure, "sampler=lognormal", *options)
    z, stops = model.module.vae.prior_sample(1)[0], torch.tensor([0.2, 0.9])
    values = LogNormal(0.0, 1.0).icdf(stops)
    rows = traversals(model, z, [2, 0], stops, 0)
    for row, latent in enumerate([2, 0]):
        for column, value in enumerate(values):
            moved = z.clone()
            moved[latent] = value
            torch.testing.assert_close(rows[row, column], model.decode(moved, 0))
    grid = plane(model, z, across=1, up=3, cells=4, label=0)
    assert grid.shape == (4, 4, *model.module.vae.x_shape)
    moved = z.clone()
    moved[1], moved[3] = LogNormal(0.0, 1.0).icdf(torch.tensor([0.875, 0.125]))
    torch.testing.assert_close(grid[0, 3], model.decode(moved, 0))


def test_the_decoder_is_given_the_class_where_it_wants_one(configure):
    z = torch.zeros(4)
    both = untrained(configure, "condition=both")
    assert not torch.allclose(both.decode(z, 1), both.decode(z, 2))
    encoder = untrained(configure, "condition=encoder")
    assert torch.equal(encoder.decode(z, 1), encoder.decode(z, 2))
    # An example is encoded and decoded with its own.
    index = int(indices_of(both.test_examples, 7)[0])
    trip = both.round_trip(index, "none", 0)
    assert trip.label == 7
    torch.testing.assert_close(trip.reconstruction, both.decode(trip.code, 7))


def test_a_head_gives_probabilities(configure):
    model = untrained(configure, "classifier=mlp")
    probabilities = model.class_probabilities(torch.zeros(3, 4))
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(3))
    assert probabilities.shape == (3, 10)
    assert untrained(configure).class_probabilities(torch.zeros(4)) is None


def test_examples_are_found_by_class(configure):
    examples = untrained(configure).test_examples
    assert len(indices_of(examples, None)) == len(examples) == 360
    assert set(examples.y[indices_of(examples, 4)].tolist()) == {4}
    assert sum(len(indices_of(examples, y)) for y in range(10)) == 360
