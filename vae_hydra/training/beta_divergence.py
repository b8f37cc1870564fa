"""The β-divergence in place of −log p(x|z): a VAE that is robust against outliers in its training data."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_hydra.base import checks
from vae_hydra.distributions import NoPowerIntegral, log_power, log_power_integral
from vae_hydra.model.vae import VAE
from vae_hydra.training.objective import ELBO, Pass


class BetaDivergence(ELBO):
    """−(1 + 1/r)·[p(x|z)^r − 1] + ∫ p(x'|z)^(1 + r) dx' − 1 + β·KL per example, with r the robustness.

    An example with a small p(x|z) has a small gradient, so that outliers have little weight. As r → 0 this is the
    negative ELBO. p(x|z) is the product over all values of x: the more values, the smaller should r be. Where all
    p(x|z)^r are near 0, nothing is learned.

    Args:
        robustness: r > 0, the published β, which is not the weight of the KL here.
        kl_reduction, normalise, free_bits: as for ``ELBO``.

    Sources: Akrami, Joshi, Li, Aydöre and Leahy, "A robust variational autoencoder using beta divergence", 2022, here
    with the integral, which they leave out for a Normal because it is constant; Basu, Harris, Hjort and Jones, "Robust
    and efficient estimation by minimising a density power divergence", 1998.
    """

    def __init__(
        self,
        robustness: float = 0.005,
        kl_reduction: str = "sum",
        normalise: bool = False,
        free_bits: float = 0.0,
    ) -> None:
        super().__init__(kl_reduction, normalise, free_bits)
        self.robustness = checks.positive("objective.robustness", robustness)

    def check(self, vae: VAE) -> None:
        super().check(vae)
        first, *others = vae.x_shape
        try:
            p = vae.likelihood(torch.zeros(1, vae.likelihood.parameters_per_value * first, *others))
            log_power_integral(p, 1 + self.robustness)
        except NoPowerIntegral as error:
            raise ValueError(
                f"objective=beta_divergence: {error}; use likelihood=gaussian, laplace, student_t, log_cosh, bernoulli "
                "or continuous_bernoulli, or objective=elbo"
            ) from error

    def reconstruction(self, vae: VAE, passed: Pass) -> Tensor:
        """−(1 + 1/r)·[p(x|z)^r − 1] + ∫ p^(1 + r) − 1 of each example, [..., B]."""
        p, dims = passed.output.p, len(vae.x_shape)
        power = log_power(p, passed.x, self.robustness).flatten(-dims).sum(-1)
        integral = log_power_integral(p, 1 + self.robustness).flatten(-dims).sum(-1)
        return torch.expm1(integral) - (1 + 1 / self.robustness) * torch.expm1(power)
