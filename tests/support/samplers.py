"""Every sampler of independent latents with a prior and the family of its posterior."""

from __future__ import annotations

from functools import partial

from torch.distributions import Beta, Gamma, Laplace, LogNormal, Normal, Uniform

from vae_hydra.distributions import Delta, InverseGaussian, Kumaraswamy, StudentT, Weibull
from vae_hydra.model.samplers import (
    BetaSampler,
    DeterministicSampler,
    GammaSampler,
    InverseGaussianSampler,
    KumaraswamySampler,
    LaplaceSampler,
    LogNormalSampler,
    NormalSampler,
    StudentTSampler,
    WeibullSampler,
)

SAMPLERS = {
    "normal": (NormalSampler, Normal(0.0, 1.0), Normal),
    "laplace": (LaplaceSampler, Laplace(0.0, 1.0), Laplace),
    "student_t": (StudentTSampler, Normal(0.0, 1.0), StudentT),
    "student_t_learned": (partial(StudentTSampler, learn_df=True), Normal(0.0, 1.0), StudentT),
    "lognormal": (LogNormalSampler, LogNormal(0.0, 1.0), LogNormal),
    "gamma": (GammaSampler, Gamma(2.0, 2.0), Gamma),
    "weibull": (WeibullSampler, Weibull(1.0, 1.0), Weibull),
    "inverse_gaussian": (InverseGaussianSampler, InverseGaussian(1.0, 1.0), InverseGaussian),
    "beta": (BetaSampler, Beta(1.0, 1.0), Beta),
    "kumaraswamy": (KumaraswamySampler, Uniform(0.0, 1.0), Kumaraswamy),
    "deterministic": (DeterministicSampler, Normal(0.0, 1.0), Delta),
}
PROBABILISTIC = [name for name in SAMPLERS if name != "deterministic"]
