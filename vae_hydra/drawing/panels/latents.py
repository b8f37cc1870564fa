"""Figures of posteriors, codes and KL, held against the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base.randomness import seeded
from vae_hydra.distributions import parameters
from vae_hydra.drawing import plots
from vae_hydra.drawing.panels.subject import LATENTS, DoesNotApply, Subject, latent_name, quantiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# t-SNE compares every pair of codes.
TSNE_CODES = 2000
# Draws of a distribution, places of its density, and test examples whose posteriors are drawn from.
DRAWS, PLACES, DRAWN_EXAMPLES = 20_000, 500, 5
# A latent with less KL carries next to nothing [nats], as callbacks.collapse has it. Active units are something else:
# latents whose posterior mean varies, see latents.active_units.
LEAST_KL = 0.01
# A distribution is shown between the outer two of these quantiles; where the upper one is this much further from the
# median than the one within, between the inner two. An axis that begins at less than this share of its end begins at 0.
SPAN, LONG, NEAR = (0.001, 0.01, 0.5, 0.99, 0.999), 1.5, 0.2


def latent_plane(subject: Subject) -> Figure:
    """The codes of clean test examples in a plane, by class."""
    if subject.data.classes < 2:
        raise DoesNotApply("it needs classes to tell apart, and these data have one")
    if subject.module.vae.latent_dim < 2:
        raise DoesNotApply("it needs 2 latents or more")
    if subject.module.vae.condition is not None:
        raise DoesNotApply("the encoder was given the class, so that its codes need not tell it")
    limit = TSNE_CODES if subject.plane == "tsne" else None
    codes, y = subject.encoded.codes[:limit], subject.encoded.y[:limit]
    return plots.latent_plane(codes, y, subject.plane, subject.seed)


def posterior_parameters(subject: Subject) -> Figure:
    """Histograms of every parameter of q(z|x) over test examples."""
    latents = subject.order[:LATENTS]
    values = {name: value[:, latents] for name, value in subject.encoded.parameters.items()}
    fixed = {name: value.flatten()[0].item() for name, value in values.items() if value.min() == value.max()}
    rows = {name: value for name, value in values.items() if name not in fixed}
    prior = subject.prior
    same_family = type(prior) is type(subject.posterior())
    marks = {name: value.item() for name, value in parameters(prior).items() if same_family and name in rows}
    said = [subject.which(latents), *(f"{name} = {value:g} everywhere" for name, value in fixed.items())]
    count = len(subject.encoded.y)
    title = "; ".join([f"parameters of q(z|x) over {count:,} test examples", *(part for part in said if part)])
    return plots.parameter_histograms(rows, [latent_name(latent) for latent in latents], marks, title)


def codes_against_prior(subject: Subject) -> Figure:
    """Draws from the posteriors of all test examples, and their codes, over the prior's density, latent by latent."""
    latents = subject.order[:LATENTS]
    codes, draws = subject.encoded.codes, subject.encoded.draws
    panels = {}
    for latent in latents:
        panel = _over(subject.prior, draws[:, latent])
        points = codes[:, latent] if subject.has_kl else ()
        panels[subject.described(latent)] = panel._replace(points=points)
    # Of a deterministic encoder the draws are the codes.
    names = ("draws from q(z|x)" if subject.has_kl else "codes", "prior", "codes")
    return plots.draws_over_densities(panels, names, "z", subject.which(latents))


def kl_per_latent(subject: Subject) -> Figure:
    """Mean KL of every latent over test examples, the largest first."""
    if not subject.has_kl:
        raise DoesNotApply("a deterministic sampler has no KL")
    names = [latent_name(latent) for latent in range(subject.module.vae.latent_dim)]
    return plots.kl_bars(subject.kl.tolist(), names, LEAST_KL)


def draws_over_density(subject: Subject) -> Figure:
    """Draws from the prior and from the posteriors of a few test examples, over the densities of both.

    Of the posteriors the latent with the most KL is shown.
    """
    if not subject.has_kl:
        raise DoesNotApply("a deterministic posterior is a point and has no density")
    latent = subject.order[0]
    shown = {"prior p(z)": subject.prior}
    for number, label in enumerate(subject.encoded.y[:DRAWN_EXAMPLES].tolist()):
        shown[f"q({latent_name(latent)}|x), x = example {number + 1}, class {label}"] = subject.posterior(
            number, latent
        )
    panels = {}
    for title, distribution in shown.items():
        with seeded(subject.seed, torch.device("cpu")):
            panels[title] = _over(distribution, distribution.sample(torch.Size([DRAWS])))
    names = (f"{DRAWS:,} draws", "density", "")
    title = f"q: {type(subject.posterior()).__name__}, p: {_described(subject.prior)}"
    return plots.draws_over_densities(panels, names, "z", title, a_row=3)


def _described(distribution: Distribution) -> str:
    values = ", ".join(f"{name} {value.item():g}" for name, value in parameters(distribution).items())
    return f"{type(distribution).__name__} of {values}"


def _over(distribution: Distribution, draws: Tensor) -> plots.OverDensity:
    """Draws over a density, where most of both are."""
    low, high = _span(distribution)
    ends = torch.quantile(draws[torch.isfinite(draws)].double(), torch.tensor([0.005, 0.995], dtype=torch.float64))
    limits = (min(low, ends[0].item()) if low else 0.0, max(high, ends[1].item()))
    x = torch.linspace(*limits, PLACES + 1)[1:]
    return plots.OverDensity(draws, limits, x, distribution.log_prob(x).exp())


def _span(distribution: Distribution) -> tuple[float, float]:
    """Between which values nearly all of a distribution is, less of one with long tails; from 0 on if that is near."""
    low, first, median, last, high = (float(quantiles(distribution, torch.tensor(p))) for p in SPAN)
    if high - median > LONG * (last - median):
        low, high = first, last
    return (0.0 if 0 <= low < NEAR * high else low), high
