"""Likelihoods: decoder features → p(x|z), a torch Distribution over the values of x."""

from vae_hydra.model.likelihoods.base import SCALES_PER_VALUE, Likelihood
from vae_hydra.model.likelihoods.heavy_tailed import GeneralisedParetoLikelihood, StudentTLikelihood
from vae_hydra.model.likelihoods.location_scale import (
    LOCATION_MAPS,
    GaussianLikelihood,
    HuberLikelihood,
    LaplaceLikelihood,
    LocationScaleLikelihood,
    LogCoshLikelihood,
)
from vae_hydra.model.likelihoods.positive import GammaLikelihood, LogNormalLikelihood
from vae_hydra.model.likelihoods.unit_interval import BernoulliLikelihood, ContinuousBernoulliLikelihood

__all__ = [
    "LOCATION_MAPS",
    "SCALES_PER_VALUE",
    "BernoulliLikelihood",
    "ContinuousBernoulliLikelihood",
    "GammaLikelihood",
    "GaussianLikelihood",
    "GeneralisedParetoLikelihood",
    "HuberLikelihood",
    "LaplaceLikelihood",
    "Likelihood",
    "LocationScaleLikelihood",
    "LogCoshLikelihood",
    "LogNormalLikelihood",
    "StudentTLikelihood",
]
