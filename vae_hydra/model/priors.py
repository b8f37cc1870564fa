"""Priors p(z) with trained parameters, in place of the sampler's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, TransformedDistribution, biject_to, constraints

from vae_hydra.base import checks
from vae_hydra.distributions import Mixture, StudentT, TrainableDistribution, is_joint, with_axis
from vae_hydra.model.flows import imported_zuko, neural_spline_flow

Encode = Callable[[Tensor], Distribution]
BASES = ("normal", "student_t")


class Prior(nn.Module, ABC):
    """p(z) over all latents.

    Attributes:
        is_joint: whether the latents depend on one another, so that only the KL of all of them together exists.
        on_sphere: whether it has a density on the sphere of a von Mises–Fisher posterior.
        has_runs: whether it holds the parameters of several runs, along a first axis.
    """

    is_joint = True
    on_sphere = False
    has_runs = False

    @abstractmethod
    def forward(self, encode: Encode) -> Distribution:
        """p(z), of batch_shape [L], or of event_shape [L] if it is joint; ``encode`` maps inputs to q(z|x)."""


class LearnedPrior(Prior):
    """p(z) = Πⱼ f(zⱼ; θⱼ): the family of the sampler's prior, with trained parameters for each latent.

    A prior of all latents together, such as a multivariate t, has its parameters trained as they are.

    Args:
        start: the sampler's prior, from which training starts.
        latent_dim: L.
    """

    def __init__(self, start: Distribution, latent_dim: int, **_: Any) -> None:
        super().__init__()
        self.is_joint = is_joint(start)
        self.latents = TrainableDistribution(start, [] if self.is_joint else [latent_dim])

    def forward(self, encode: Encode) -> Distribution:
        return self.latents()


class MixturePrior(Prior):
    """p(z) = Σₖ πₖ·Πⱼ f(zⱼ; θₖⱼ), with trained weights and parameters in the family of the sampler's prior.

    Args:
        start: the sampler's prior, around whose parameters all components start.
        latent_dim: L.
        components: K ≥ 1.
        spread: standard deviation of the starting values of the unconstrained parameters around those of ``start``.
    """

    def __init__(
        self, start: Distribution, latent_dim: int, components: int = 10, spread: float = 0.5, **_: Any
    ) -> None:
        super().__init__()
        count = checks.positive_integer("prior.components", components)
        distance = checks.non_negative("prior.spread", spread)
        self.logits = nn.Parameter(torch.zeros(count))
        shape = [count] if is_joint(start) else [count, latent_dim]
        self.components = TrainableDistribution(start, shape, distance)

    def forward(self, encode: Encode) -> Distribution:
        return Mixture(self.logits, self.components())


class VampPrior(Prior):
    """p(z) = (1/K)·Σₖ q(z|uₖ), the mean of the posteriors of trained pseudo-inputs.

    Pseudo-inputs start as training examples, and stay within the range of the data.

    Args:
        input_shape: shape of the encoder's input.
        components: K ≥ 1.

    Source: Tomczak and Welling, "VAE with a VampPrior", 2018.
    """

    on_sphere = True
    least: Tensor
    greatest: Tensor

    def __init__(self, input_shape: Sequence[int], components: int = 500, **_: Any) -> None:
        super().__init__()
        count = checks.positive_integer("prior.components", components)
        self.inputs = nn.Parameter(torch.rand(count, *input_shape))
        self.register_buffer("least", torch.zeros(()))
        self.register_buffer("greatest", torch.ones(()))

    @property
    def components(self) -> int:
        """K, the number of pseudo-inputs."""
        return self.inputs.shape[1 if self.has_runs else 0]

    @torch.no_grad()
    def start(self, examples: Tensor, least: float, greatest: float) -> None:
        """Start from encoder inputs [K, *input_shape], repeated if there are fewer, in the range of the data."""
        self.inputs.copy_(examples[torch.arange(self.components) % len(examples)])
        self.least.fill_(least)
        self.greatest.fill_(greatest)

    def forward(self, encode: Encode) -> Distribution:
        components = encode(self.inputs.clamp(self.least, self.greatest))
        if self.has_runs:
            # An axis for the examples, which share the components of their run.
            components = with_axis(components, 1, 1)
        return Mixture(self.inputs.new_zeros(self.components), components)


class FlowPrior(Prior):
    """p(z) of z = f(ε), with a neural spline flow f from a Normal or Student-t base of independent values.

    The flow acts on the real line, from which positive latents come by exp, and those in (0, 1) by the logistic
    function. Splines are the identity beyond ±5, so that the tails are those of the base.

    Args:
        start: the sampler's prior, for the support of the latents.
        latent_dim: L.
        transforms: number of autoregressive transforms.
        bins: of each spline.
        widths: of the hidden layers of each transform.
        base: ``normal`` or ``student_t``.
        df: degrees of freedom > 0 of a Student-t base.

    Source: Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", 2019; zuko.
    """

    df: Tensor
    zeros: Tensor

    def __init__(
        self,
        start: Distribution,
        latent_dim: int,
        transforms: int = 3,
        bins: int = 8,
        widths: Sequence[int] = (64, 64),
        base: str = "normal",
        df: float = 5.0,
        **_: Any,
    ) -> None:
        super().__init__()
        flow = neural_spline_flow(latent_dim, "prior", transforms, bins, widths)
        self.transform = flow.transform
        self.heavy = checks.one_of("prior.base", base, BASES) == "student_t"
        self.register_buffer("df", torch.tensor(checks.positive("prior.df", df)), persistent=False)
        self.register_buffer("zeros", torch.zeros(latent_dim), persistent=False)
        self.support = cast(constraints.Constraint, start.support)

    def forward(self, encode: Encode) -> Distribution:
        ones = torch.ones_like(self.zeros)
        values: Distribution = Normal(self.zeros, ones, validate_args=False)
        if self.heavy:
            values = StudentT(self.df, self.zeros, ones, validate_args=False)
        base = Independent(values, 1, validate_args=False)
        flow = imported_zuko().distributions.NormalizingFlow(self.transform(None), base)
        if self.support in (constraints.real, constraints.real_vector):
            return flow
        of_vectors = self.support if self.support.event_dim else constraints.independent(self.support, 1)
        onto = biject_to(of_vectors)
        return TransformedDistribution(flow, [onto], validate_args=False)
