"""Random draws of many runs: each run's are those of its own generator, whatever it is stacked with."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Exponential, Gamma, Laplace, LogNormal, Normal, Uniform

from vae_hydra.base.draws import CannotStack, DrawsOfRuns
from vae_hydra.distributions import InverseGaussian, StudentT, Weibull

SHAPE = (3, 40, 2)
FAMILIES = {
    "normal": lambda a: Normal(a, 1 + a),
    "lognormal": lambda a: LogNormal(a, 1 + a),
    "laplace": lambda a: Laplace(a, 1 + a),
    "gamma": lambda a: Gamma(1 + a, 2.0 + a),
    "weibull": lambda a: Weibull(1 + a, 2.0 + a),
    "student_t": lambda a: StudentT(3 + a, a, 1 + a),
    "inverse_gaussian": lambda a: InverseGaussian(1 + a, 2 + a),
    "uniform": lambda a: Uniform(a, a + 1),
    "exponential": lambda a: Exponential(1 + a),
    "bernoulli": lambda a: Bernoulli(a / 7),
}


def generators():
    return [torch.Generator().manual_seed(seed) for seed in (5, 6, 7)]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_each_run_is_drawn_what_it_would_be_drawn_alone(family):
    parameters = torch.linspace(0.1, 5, 240).reshape(SHAPE)
    with DrawsOfRuns(generators()):
        together = family(parameters).sample()
    for run, seed in enumerate((5, 6, 7)):
        torch.manual_seed(seed)
        assert torch.equal(family(parameters[run]).sample(), together[run])


@pytest.mark.parametrize("family", [f for n, f in FAMILIES.items() if n != "bernoulli"])
def test_gradients_are_each_runs_own(family):
    parameters = torch.linspace(0.1, 5, 240).reshape(SHAPE).requires_grad_()
    with DrawsOfRuns(generators()):
        family(parameters).rsample()[1].sum().backward()
    assert torch.equal(parameters.grad[[0, 2]], torch.zeros(2, 40, 2))
    assert parameters.grad[1].abs().sum() > 0


def test_draws_go_on_where_the_generators_are_and_leave_the_default_one_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    own = generators()
    with DrawsOfRuns(own):
        first, second = torch.randn(SHAPE), torch.rand_like(torch.zeros(SHAPE))
    assert not torch.equal(first[0], first[1])
    assert torch.equal(torch.rand(3), expected)
    generator = torch.Generator().manual_seed(6)
    assert torch.equal(torch.randn(SHAPE[1:], generator=generator), first[1])
    assert torch.equal(torch.rand(SHAPE[1:], generator=generator), second[1])


@pytest.mark.parametrize("draw", [lambda: torch.randn(4, 2), lambda: torch.bernoulli(torch.zeros(4, 2))])
def test_a_draw_without_an_axis_of_runs_is_refused(draw):
    with DrawsOfRuns(generators()), pytest.raises(CannotStack, match="has no axis of 3 runs"):
        draw()


def test_a_draw_that_runs_cannot_share_is_refused():
    with DrawsOfRuns(generators()), pytest.raises(CannotStack, match="a random draw that runs cannot share"):
        torch.randperm(3)
