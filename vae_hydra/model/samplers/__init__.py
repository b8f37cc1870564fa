"""Samplers: encoder features → the posterior q(z|x), a torch Distribution, with the prior p(z) beside it."""

from vae_hydra.model.samplers.deterministic import DeterministicSampler
from vae_hydra.model.samplers.joint import FlowSampler, FullNormalSampler, VonMisesFisherSampler
from vae_hydra.model.samplers.positive import GammaSampler, InverseGaussianSampler, LogNormalSampler, WeibullSampler
from vae_hydra.model.samplers.real import LaplaceSampler, NormalSampler, StudentTSampler
from vae_hydra.model.samplers.sampler import FLOOR, KL_ESTIMATES, POSITIVE_MAPS, Sampler, elu_plus_one
from vae_hydra.model.samplers.unit import BetaSampler, KumaraswamySampler

__all__ = [
    "FLOOR",
    "KL_ESTIMATES",
    "POSITIVE_MAPS",
    "BetaSampler",
    "DeterministicSampler",
    "FlowSampler",
    "FullNormalSampler",
    "GammaSampler",
    "InverseGaussianSampler",
    "KumaraswamySampler",
    "LaplaceSampler",
    "LogNormalSampler",
    "NormalSampler",
    "Sampler",
    "StudentTSampler",
    "VonMisesFisherSampler",
    "WeibullSampler",
    "elu_plus_one",
]
