"""Likelihoods that can make a tail: densities against scipy, learned parameters against the truth, stable training."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch import nn

from tests.support.slowly import rest_slow
from vae_hydra.distributions import ParetoTails, UpperParetoTail
from vae_hydra.model.likelihoods import (
    GammaLikelihood,
    GaussianLikelihood,
    GeneralisedParetoLikelihood,
    LogNormalLikelihood,
    StudentTLikelihood,
)

LEARNING = [False, True, "per_pixel", "predicted"]
LEARN = {
    GammaLikelihood: "learn_concentration",
    StudentTLikelihood: "learn_df",
    GeneralisedParetoLikelihood: "learn_shape",
}


def test_lognormal_is_scipys():
    p = LogNormalLikelihood(0.3)(torch.tensor([0.5, -1.0]))
    exact = scipy.stats.lognorm(0.3, scale=[math.exp(0.5), math.exp(-1)])
    x = torch.tensor([1.1, 2.0])
    torch.testing.assert_close(p.log_prob(x), torch.from_numpy(exact.logpdf(x.numpy())).float())
    torch.testing.assert_close(p.mean, torch.from_numpy(exact.mean()).float())


@pytest.mark.parametrize(("positive", "mean"), [("softplus", math.log(1 + math.e)), ("exp", math.e)])
def test_gamma_is_scipys_and_has_the_mean_of_its_map(positive, mean):
    p = GammaLikelihood(2.5, positive=positive)(torch.ones(2))
    exact = scipy.stats.gamma(2.5, scale=mean / 2.5)
    x = torch.tensor([0.1, 20.0])
    torch.testing.assert_close(p.log_prob(x), torch.from_numpy(exact.logpdf(x.numpy())).float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(p.mean, torch.full((2,), mean))
    torch.testing.assert_close(p.variance, torch.full((2,), mean**2 / 2.5))


@pytest.mark.parametrize(("tails", "family"), [("both", ParetoTails), ("upper", UpperParetoTail)])
def test_generalised_pareto_starts_from_its_options(tails, family):
    p = GeneralisedParetoLikelihood(0.5, threshold=1.5, shape=0.4, tails=tails)(torch.tensor([1.0, -2.0]))
    assert type(p) is family
    torch.testing.assert_close(p.loc, torch.tensor([1.0, -2.0]))
    torch.testing.assert_close(
        torch.stack([p.scale, p.threshold, p.tail_shape]).detach(), torch.tensor([0.5, 1.5, 0.4])
    )


@pytest.mark.parametrize("likelihood", [GeneralisedParetoLikelihood, StudentTLikelihood])
def test_learned_parameters_stay_where_there_is_a_mean(likelihood):
    model = likelihood(**{LEARN[likelihood]: True})
    for extreme in (-1e3, 1e3):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(min(extreme, 20.0))
        p = model(torch.zeros(3))
        assert p.mean.isfinite().all()
        assert p.log_prob(torch.tensor([0.0, 1.0, -1e6])).isfinite().all()
    if likelihood is GeneralisedParetoLikelihood:
        assert 0.89 < p.tail_shape.item() <= 0.9


@pytest.mark.parametrize("likelihood", LEARN)
@pytest.mark.parametrize("learn", LEARNING)
@pytest.mark.parametrize("lead", [(), (2, 5)])
def test_parameters_are_fixed_learned_or_predicted(likelihood, learn, lead):
    others = {} if likelihood is GammaLikelihood else {"learn_scale": "predicted"}
    if likelihood is GeneralisedParetoLikelihood:
        others |= {"learn_threshold": False, "learn_tail_scale": False}
    model = likelihood(**{LEARN[likelihood]: learn}, **others, x_shape=(3, 4, 4))
    assert model.parameters_per_value == 1 + len(others.keys() & {"learn_scale"}) + (learn == "predicted")
    shapes = {False: [], True: [()], "per_pixel": [(3, 4, 4)], "predicted": []}[learn]
    assert [tuple(value.shape) for value in model.parameters()] == shapes
    features = torch.randn(*lead, model.parameters_per_value * 3, 4, 4)
    p = model(features)
    assert p.batch_shape == (*lead, 3, 4, 4)
    assert p.log_prob(torch.rand(*lead, 3, 4, 4) + 0.1).shape == (*lead, 3, 4, 4)
    if learn == "predicted":
        raw = features.chunk(model.parameters_per_value, dim=-3)[-1]
        found, expected = {
            GammaLikelihood: lambda: (p.concentration, 0.01 + 0.99 * raw.exp()),
            StudentTLikelihood: lambda: (p.df, 1.01 + 2.99 * raw.exp()),
            GeneralisedParetoLikelihood: lambda: (
                p.tail_shape,
                1e-3 + 0.899 * (raw + math.log(0.299 / 0.6)).sigmoid(),
            ),
        }[likelihood]()
        torch.testing.assert_close(found, expected)


def fitted(model, x, steps=600):
    """The distribution of a likelihood of constant features after fitting ``x`` [N, 1]."""
    features = torch.zeros(model.parameters_per_value, requires_grad=True)
    optimizer = torch.optim.Adam([features, *model.parameters()], lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        (-model(features.expand(len(x), -1)).log_prob(x).mean()).backward()
        optimizer.step()
    return model(features)


@pytest.mark.parametrize("df", [2.5, 5.0])
def test_learned_df_is_that_of_the_data(df):
    x = torch.from_numpy(scipy.stats.t.rvs(df, size=(20_000, 1), random_state=0)).float()
    p = fitted(StudentTLikelihood(1.0, df=10.0, learn_df=True, learn_scale=True), x)
    exact = scipy.stats.t.fit(x.double().numpy(), floc=p.loc.item())[0]
    assert p.df.item() == pytest.approx(exact, rel=0.02)
    assert p.df.item() == pytest.approx(df, rel=0.1)


@pytest.mark.parametrize(("tails", "index"), [("both", 3.0), ("upper", 2.0)])
def test_learned_shape_threshold_and_scale_are_those_of_the_data(tails, index):
    family = {"both": ParetoTails, "upper": UpperParetoTail}[tails]
    torch.manual_seed(0)
    x = family(torch.tensor(1.0), 2.0, 1.2, 1 / index, 1.5).sample((20_000, 1))
    model = GeneralisedParetoLikelihood(1.0, learn_scale=True, tails=tails)
    p = fitted(model, x)
    found = torch.stack(
        [value.squeeze() for value in (p.loc, p.scale, p.threshold, p.tail_shape, p.tail_scale)]
    ).detach()
    torch.testing.assert_close(found, torch.tensor([1.0, 2.0, 1.2, 1 / index, 1.5]), rtol=0.1, atol=0.05)


def pareto(index, size=2000, dimensions=3):
    torch.manual_seed(0)
    return torch.rand(size, dimensions).clamp(min=1e-7) ** (-1 / index)


@pytest.mark.parametrize("index", rest_slow([0.8, 2.0, 5.0], at_once=[0.8]))
@pytest.mark.parametrize(
    "make",
    [
        lambda: LogNormalLikelihood(learn_scale=True),
        lambda: LogNormalLikelihood(learn_scale="predicted", x_shape=(3,)),
        lambda: GammaLikelihood(learn_concentration=True),
        lambda: GammaLikelihood(learn_concentration="predicted", positive="exp", x_shape=(3,)),
        lambda: StudentTLikelihood(learn_df=True, learn_scale=True),
        lambda: StudentTLikelihood(learn_df="predicted", learn_scale="predicted", x_shape=(3,)),
        lambda: GeneralisedParetoLikelihood(learn_scale=True),
        lambda: GeneralisedParetoLikelihood(learn_scale="predicted", learn_shape="predicted", x_shape=(3,)),
        lambda: GeneralisedParetoLikelihood(
            learn_scale="per_pixel", learn_shape="per_pixel", tails="upper", x_shape=(3,)
        ),
    ],
)
def test_an_autoencoder_of_heavy_data_trains_without_nan(make, index):
    """200 steps of Adam from the initial values: losses and gradients are finite, and the loss falls."""
    x, model = pareto(index), make()
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 3 * model.parameters_per_value))
    parameters = [*network.parameters(), *model.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    losses = []
    for step in range(200):
        batch = x[step % 10 :: 10]
        loss = -model(network(batch.log())).log_prob(batch).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad.isfinite().all() for parameter in parameters)
        optimizer.step()
        losses.append(loss.item())
    assert all(map(math.isfinite, losses))
    assert sum(losses[-10:]) < sum(losses[:10])


@pytest.mark.parametrize("latent", ["normal", "uniform"])
def test_a_lipschitz_decoder_of_a_light_prior_has_the_tail_of_its_likelihood(latent):
    """Hill's slope of the largest of a million draws: that of 1/shape and df, and far above for a Normal."""
    torch.manual_seed(0)
    z = torch.randn(1_000_000, 1) if latent == "normal" else torch.rand(1_000_000, 1)
    with torch.no_grad():
        features = 2 * z.tanh()

        def index(model):
            top = model(features).sample().abs().flatten().topk(1001).values
            return 1 / (top[:-1] / top[-1]).log().mean().item()

        assert index(GeneralisedParetoLikelihood(1.0, threshold=1.0, shape=0.5)) == pytest.approx(2, rel=0.15)
        assert index(StudentTLikelihood(1.0, df=2.0)) == pytest.approx(2, rel=0.15)
        assert index(GaussianLikelihood(1.0)) > 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StudentTLikelihood(df=1.0, learn_df=True), "likelihood.df must be a number > 1.01, .* but got 1.0"),
        (lambda: StudentTLikelihood(learn_df="often"), "likelihood.learn_df must be true or false or one of"),
        (lambda: StudentTLikelihood(learn_df="predicted"), "likelihood.learn_df=predicted needs x_shape"),
        (lambda: LogNormalLikelihood(0), "likelihood.scale must be a number > 0, but got 0"),
        (lambda: GammaLikelihood(0.001), "likelihood.concentration must be a number > 0.01, but got 0.001"),
        (lambda: GammaLikelihood(positive="relu"), "likelihood.positive must be one of softplus, exp"),
        (lambda: GeneralisedParetoLikelihood(shape=0.95), "likelihood.shape must be a number between .* but got 0.95"),
        (lambda: GeneralisedParetoLikelihood(max_shape=1), "likelihood.max_shape must be a number < 1, .* but got 1"),
        (lambda: GeneralisedParetoLikelihood(threshold=0.001), "likelihood.threshold must be a number > 0.01"),
        (lambda: GeneralisedParetoLikelihood(tails="lower"), "likelihood.tails must be one of both, upper"),
        (
            lambda: GeneralisedParetoLikelihood(learn_threshold="per_pixel"),
            "likelihood.learn_threshold must be true or",
        ),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
