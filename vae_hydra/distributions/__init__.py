"""Distribution families and KL pairs that torch.distributions lacks."""

from vae_hydra.distributions.delta import Delta
from vae_hydra.distributions.fixed import FixedDistribution
from vae_hydra.distributions.homoscedastic import HomoscedasticNormal
from vae_hydra.distributions.inverse_gaussian import InverseGaussian

__all__ = ["Delta", "FixedDistribution", "HomoscedasticNormal", "InverseGaussian"]
