"""Distribution families and KL pairs that torch.distributions lacks."""

from vae_hydra.distributions import kl as kl  # importing it registers the KL pairs
from vae_hydra.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_hydra.distributions.delta import Delta
from vae_hydra.distributions.fixed import FixedDistribution
from vae_hydra.distributions.homoscedastic import HomoscedasticNormal
from vae_hydra.distributions.huber import Huber
from vae_hydra.distributions.hyperbolic_secant import HyperbolicSecant
from vae_hydra.distributions.inverse_gaussian import InverseGaussian
from vae_hydra.distributions.location_scale import LocationScale
from vae_hydra.distributions.parameters import parameters, with_parameters
from vae_hydra.distributions.pareto_tails import ParetoTails, UpperParetoTail
from vae_hydra.distributions.quantiles import NoQuantiles, quantile
from vae_hydra.distributions.student_t import StudentT
from vae_hydra.distributions.weibull import Weibull

__all__ = [
    "ContinuousBernoulli",
    "Delta",
    "FixedDistribution",
    "HomoscedasticNormal",
    "Huber",
    "HyperbolicSecant",
    "InverseGaussian",
    "LocationScale",
    "NoQuantiles",
    "ParetoTails",
    "StudentT",
    "UpperParetoTail",
    "Weibull",
    "parameters",
    "quantile",
    "with_parameters",
]
