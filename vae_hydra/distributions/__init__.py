"""Distribution families and KL pairs that torch.distributions lacks."""

from vae_hydra.distributions import kl as kl  # importing it registers the KL pairs
from vae_hydra.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_hydra.distributions.delta import Delta
from vae_hydra.distributions.drawn import Drawn, drawn_marginals, marginals
from vae_hydra.distributions.fixed import FixedDistribution
from vae_hydra.distributions.flow import ConditionalFlow
from vae_hydra.distributions.homoscedastic import HomoscedasticNormal
from vae_hydra.distributions.huber import Huber
from vae_hydra.distributions.hyperbolic_secant import HyperbolicSecant
from vae_hydra.distributions.inverse_gaussian import InverseGaussian
from vae_hydra.distributions.joint import is_joint, log_density
from vae_hydra.distributions.kumaraswamy import Kumaraswamy
from vae_hydra.distributions.location_scale import LocationScale
from vae_hydra.distributions.mixture import Mixture
from vae_hydra.distributions.multivariate_t import MultivariateT, ValuesOfT
from vae_hydra.distributions.parameters import parameters, with_axis, with_parameters
from vae_hydra.distributions.pareto_tails import ParetoTails, UpperParetoTail
from vae_hydra.distributions.power import NoPowerIntegral, log_power, log_power_integral
from vae_hydra.distributions.quantiles import NoQuantiles, quantile
from vae_hydra.distributions.radius_angle import RadiusAngle, RadiusLatents
from vae_hydra.distributions.student_t import StudentT
from vae_hydra.distributions.trainable import TrainableDistribution
from vae_hydra.distributions.von_mises_fisher import VonMisesFisher
from vae_hydra.distributions.weibull import Weibull

__all__ = [
    "ConditionalFlow",
    "ContinuousBernoulli",
    "Delta",
    "Drawn",
    "FixedDistribution",
    "HomoscedasticNormal",
    "Huber",
    "HyperbolicSecant",
    "InverseGaussian",
    "Kumaraswamy",
    "LocationScale",
    "Mixture",
    "MultivariateT",
    "NoPowerIntegral",
    "NoQuantiles",
    "ParetoTails",
    "RadiusAngle",
    "RadiusLatents",
    "StudentT",
    "TrainableDistribution",
    "UpperParetoTail",
    "ValuesOfT",
    "VonMisesFisher",
    "Weibull",
    "drawn_marginals",
    "is_joint",
    "log_density",
    "log_power",
    "log_power_integral",
    "marginals",
    "parameters",
    "quantile",
    "with_axis",
    "with_parameters",
]
