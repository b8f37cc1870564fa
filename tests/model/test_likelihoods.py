"""Likelihoods against scipy, quadrature and each other."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from scipy.integrate import quad
from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss

from vae_hydra.distributions import HomoscedasticNormal
from vae_hydra.model.likelihoods import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    HuberLikelihood,
    LaplaceLikelihood,
    LogCoshLikelihood,
    StudentTLikelihood,
)

LOCATION_SCALE = [GaussianLikelihood, LaplaceLikelihood, StudentTLikelihood, HuberLikelihood, LogCoshLikelihood]
ALL = [*LOCATION_SCALE, BernoulliLikelihood, ContinuousBernoulliLikelihood]


def test_gaussian_with_scale_one_is_half_sse_and_a_constant():
    features, x = torch.randn(3, 20), torch.randn(3, 20)
    log_likelihood = GaussianLikelihood(1.0)(features).log_prob(x).sum(-1)
    expected = -0.5 * ((features - x) ** 2).sum(-1) - 10 * math.log(2 * math.pi)
    torch.testing.assert_close(log_likelihood, expected)


@pytest.mark.parametrize(
    ("likelihood", "exact"),
    [
        (GaussianLikelihood, scipy.stats.norm),
        (LaplaceLikelihood, scipy.stats.laplace),
        (StudentTLikelihood, lambda loc, scale: scipy.stats.t(4, loc, scale)),
        (LogCoshLikelihood, scipy.stats.hypsecant),
    ],
)
def test_location_scale_densities_match_scipy(likelihood, exact):
    p = likelihood(0.3)(torch.tensor([0.5, -1.0]))
    expected = torch.tensor(exact([0.5, -1.0], 0.3).logpdf([0.1, 2.0]), dtype=torch.float32)
    torch.testing.assert_close(p.log_prob(torch.tensor([0.1, 2.0])), expected)


def test_huber_and_log_cosh_are_their_losses_and_a_constant():
    features, x = torch.randn(100), torch.randn(100)
    huber, log_cosh = HuberLikelihood(1.0, 0.7)(features), LogCoshLikelihood(0.5)(features)
    loss = huber_loss(features, x, reduction="none", delta=0.7)
    torch.testing.assert_close(huber.log_prob(features) - huber.log_prob(x), loss)
    torch.testing.assert_close(
        log_cosh.log_prob(features) - log_cosh.log_prob(x), torch.cosh((x - features) / 0.5).log()
    )


@pytest.mark.parametrize("likelihood", LOCATION_SCALE)
@pytest.mark.parametrize("learn_scale", [False, True, "per_pixel", "predicted"])
def test_densities_integrate_to_one(likelihood, learn_scale):
    model = likelihood(0.3, learn_scale=learn_scale, x_shape=[1]).double()
    p = model(torch.full((model.parameters_per_value,), 0.5, dtype=torch.float64))

    def density(u: float) -> float:
        x = torch.tensor([0.5 + math.sinh(u)], dtype=torch.float64)
        return p.log_prob(x).exp().item() * math.cosh(u)

    total = quad(density, -12, 0, limit=200)[0] + quad(density, 0, 12, limit=200)[0]
    assert total == pytest.approx(1, abs=1e-6)


def spread_of(p, x):
    """The factor on the scale of ``p``, with location 0, that makes ``x`` most likely."""
    factors = torch.logspace(-0.3, 0.3, 601)
    scaled = x[:, None] / factors
    return factors[(p.log_prob(scaled) - factors.log()).mean(0).argmax()].item()


@pytest.mark.parametrize("likelihood", LOCATION_SCALE)
@pytest.mark.parametrize("learn_scale", [True, "per_pixel", "predicted"])
def test_learned_scale_finds_the_spread(likelihood, learn_scale):
    """Fitted to values of two spreads, with one scale, one for each value, or one feature of a decoder for each."""
    true = torch.tensor([0.05, 0.05]) if learn_scale is True else torch.tensor([0.05, 0.4])
    x = likelihood()(torch.zeros(4000, 2)).sample() * true
    model = likelihood(0.2, learn_scale=learn_scale, x_shape=[2])
    features = torch.zeros(2 * model.parameters_per_value, requires_grad=model.parameters_per_value == 2)
    learned = [features] if features.requires_grad else list(model.parameters())
    optimizer = torch.optim.Adam(learned, lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (-model(features.expand(4000, -1)).log_prob(x).mean()).backward()
        optimizer.step()
    found = model.location_and_scale(features)[1].detach().expand(2)
    exact = likelihood()(torch.zeros(()))
    columns = [x.flatten()] * 2 if learn_scale is True else list(x.T)
    best = [scale * spread_of(exact, column / scale) for scale, column in zip(true.tolist(), columns, strict=True)]
    torch.testing.assert_close(found, torch.tensor(best), rtol=0.01, atol=0)


@pytest.mark.parametrize("likelihood", LOCATION_SCALE)
def test_parameters_of_the_scale(likelihood):
    def make(learn_scale):
        return likelihood(0.2, learn_scale=learn_scale, x_shape=(1, 4, 3))

    fixed, shared, each, predicted = (make(learn_scale) for learn_scale in (False, True, "per_pixel", "predicted"))
    assert fixed.scale.item() == torch.tensor(0.2)
    assert not [*fixed.parameters(), *predicted.parameters(), *fixed.state_dict(), *predicted.state_dict()]
    for model, shape in ((shared, ()), (each, (1, 4, 3))):
        assert [(name, value.shape) for name, value in model.named_parameters()] == [("log_excess", shape)]
        torch.testing.assert_close(model.scale, torch.full(shape, 0.2))
        assert model(torch.zeros(5, 1, 4, 3)).batch_shape == (5, 1, 4, 3)
        with torch.no_grad():
            model.log_excess.fill_(-1e3)
        torch.testing.assert_close(model.scale, torch.full(shape, 1e-3))
    assert [model.parameters_per_value for model in (fixed, shared, each, predicted)] == [1, 1, 1, 2]


@pytest.mark.parametrize("likelihood", LOCATION_SCALE)
@pytest.mark.parametrize("x_shape", [(6,), (3, 4, 4)])
@pytest.mark.parametrize("lead", [(), (2, 5)])
def test_predicted_scale_is_the_second_half_of_the_first_axis(likelihood, x_shape, lead):
    model = likelihood(0.2, learn_scale="predicted", min_scale=0.1, x_shape=x_shape)
    location, raw = torch.randn(*lead, *x_shape), torch.randn(*lead, *x_shape)
    p = model(torch.cat([location, raw], dim=-len(x_shape)))
    assert p.batch_shape == (*lead, *x_shape)
    torch.testing.assert_close(p.mean, location)
    torch.testing.assert_close(p.scale, 0.1 + 0.1 * raw.exp())
    torch.testing.assert_close(model.scale.item(), 0.2)


def test_one_scale_keeps_the_fast_path():
    for learn_scale, fast in ((False, True), (True, True), ("per_pixel", False)):
        p = GaussianLikelihood(learn_scale=learn_scale, x_shape=[3])(torch.zeros(3))
        assert isinstance(p, HomoscedasticNormal) is fast


def test_bernoulli_alone_needs_binary_data_to_be_normalised():
    assert [likelihood for likelihood in ALL if likelihood.needs_binary_to_be_normalised] == [BernoulliLikelihood]


def test_sigmoid_location_keeps_the_mean_inside():
    mean = GaussianLikelihood(location="sigmoid")(torch.tensor([-50.0, 0.0, 50.0])).mean
    torch.testing.assert_close(mean, torch.tensor([0.0, 0.5, 1.0]))


def test_bernoulli_is_the_binary_cross_entropy_also_between_zero_and_one():
    logits, x = torch.randn(50), torch.rand(50)
    p = BernoulliLikelihood()(logits)
    torch.testing.assert_close(p.log_prob(x), -binary_cross_entropy_with_logits(logits, x, reduction="none"))
    torch.testing.assert_close(p.mean, logits.sigmoid())


@pytest.mark.parametrize("logit", [-3.0, -1e-3, 0.0, 0.5, 4.0])
def test_continuous_bernoulli_integrates_to_one_and_has_its_mean(logit):
    p = ContinuousBernoulliLikelihood()(torch.tensor(logit, dtype=torch.float64))

    def density(x: float) -> float:
        return p.log_prob(torch.tensor(x, dtype=torch.float64)).exp().item()

    # Around logit 0 torch replaces the normaliser by a series that is good to about 1e-5.
    assert quad(density, 0, 1)[0] == pytest.approx(1, abs=2e-5)
    assert quad(lambda x: x * density(x), 0, 1)[0] == pytest.approx(p.mean.item(), abs=2e-5)


@pytest.mark.parametrize("likelihood", ALL)
def test_leading_dimensions_give_the_same_numbers(likelihood):
    features, x = torch.randn(2, 3, 1, 4, 4), torch.rand(2, 3, 1, 4, 4)
    model = likelihood()
    nested = model(features).log_prob(x)
    assert nested.shape == x.shape
    torch.testing.assert_close(nested.flatten(0, 1), model(features.flatten(0, 1)).log_prob(x.flatten(0, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianLikelihood(0.0), "likelihood.scale must be a number > 0, but got 0.0"),
        (lambda: LaplaceLikelihood(-1), "likelihood.scale"),
        (
            lambda: GaussianLikelihood(learn_scale="yes"),
            "likelihood.learn_scale must be true or false .*, but got 'yes'",
        ),
        (
            lambda: HuberLikelihood(learn_scale="per_channel"),
            "learn_scale must be true or false or one of per_pixel, pred",
        ),
        (lambda: HuberLikelihood(learn_scale="per_pixel"), "likelihood.learn_scale=per_pixel needs x_shape"),
        (lambda: LaplaceLikelihood(min_scale=0.0), "likelihood.min_scale must be a number > 0, but got 0.0"),
        (
            lambda: LaplaceLikelihood(0.1, True, min_scale=0.1),
            "likelihood.scale must be a number > min_scale = 0.1, but",
        ),
        (lambda: StudentTLikelihood(df=1.0), "likelihood.df must be a number > 1, .* but got 1.0"),
        (lambda: StudentTLikelihood(df=None), "likelihood.df must be a number > 0, but got None"),
        (lambda: HuberLikelihood(threshold=0), "likelihood.threshold must be a number > 0, but got 0"),
        (lambda: GaussianLikelihood(location="tanh"), "likelihood.location must be one of identity, sigmoid"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
