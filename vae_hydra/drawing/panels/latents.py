"""Figures of posteriors, codes and KL, beside the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base.randomness import seeded
from vae_hydra.distributions import Drawn, parameters, quantile
from vae_hydra.drawing import plots
from vae_hydra.drawing.panels.subject import LATENTS, DoesNotApply, Subject
from vae_hydra.drawing.plots.names import latent_name
from vae_hydra.runs.posteriors import posteriors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Codes in a plane by t-SNE, whose time grows with the number of pairs.
TSNE_CODES = 2000
# Draws of a distribution, points of its density curve, and test examples with a posterior of their own.
DRAWS, PLACES, DRAWN_EXAMPLES = 20_000, 500, 5
# A latent with less KL [nats] has collapsed, by the threshold of callbacks.collapse. Active units are another measure:
# latents whose posterior mean varies, see analysis.codes.
LEAST_KL = 0.01
# An axis runs between the outer two of these quantiles; where the upper tail beyond the inner one is longer than LONG
# times the distance from there to the median, between the inner two. An axis that begins below NEAR times its end
# begins at 0.
SPAN, LONG, NEAR = (0.001, 0.01, 0.5, 0.99, 0.999), 1.5, 0.2


def latent_plane(subject: Subject) -> Figure:
    """The codes of clean test examples in a plane, by class."""
    if subject.data.classes < 2:
        raise DoesNotApply("it needs two classes or more, these data have one")
    if subject.latent_dim < 2:
        raise DoesNotApply("it needs 2 latents or more")
    if subject.module.vae.condition is not None:
        raise DoesNotApply("the encoder was given the class, so its codes need not contain it")
    limit = TSNE_CODES if subject.plane == "tsne" else None
    codes, y = subject.encoded.codes[:limit], subject.encoded.y[:limit]
    return plots.latent_plane(codes, y, subject.plane, subject.seed)


def posterior_parameters(subject: Subject) -> Figure:
    """Histograms of every parameter of q(z|x) over test examples."""
    latents = subject.order[:LATENTS]
    # Others, such as a covariance, have no histogram of each latent.
    own = (len(subject.encoded.y), subject.latent_dim)
    values = {name: value[:, latents] for name, value in subject.encoded.parameters.items() if value.shape == own}
    if not values:
        raise DoesNotApply("q(z|x) has no parameter with one value for each latent")
    fixed = {name: value.flatten()[0].item() for name, value in values.items() if value.min() == value.max()}
    rows = {name: value for name, value in values.items() if name not in fixed}
    prior = subject.prior
    same_family = subject.module.vae.prior is None and type(prior) is subject.family
    marks = {name: value[0].item() for name, value in parameters(prior).items() if same_family and name in rows}
    heading = f"parameters of q(z|x) over {len(subject.encoded.y):,} test examples"
    constants = [f"{name} = {value:g} everywhere" for name, value in fixed.items()]
    title = "; ".join(filter(None, [heading, subject.choice(latents), *constants]))
    return plots.parameter_histograms(rows, [latent_name(latent) for latent in latents], marks, title)


def codes_against_prior(subject: Subject) -> Figure:
    """Draws from the posteriors of test examples, and their codes, over the prior's density: a panel a latent."""
    latents = subject.order[:LATENTS]
    codes, draws = subject.encoded.codes, subject.encoded.draws
    panels = {}
    for latent in latents:
        panel = _over(subject.prior_of(latent), draws[:, latent])
        points = codes[:, latent] if subject.has_kl else ()
        panels[subject.latent_title(latent)] = panel._replace(points=points)
    # A deterministic encoder draws its codes.
    names = ("draws from q(z|x)" if subject.has_kl else "codes", "prior", "codes")
    return plots.draws_over_densities(panels, names, "z", subject.choice(latents))


def kl_per_latent(subject: Subject) -> Figure:
    """Mean KL of every latent over test examples, the largest first."""
    if not subject.has_kl:
        raise DoesNotApply("a deterministic sampler has no KL")
    if not subject.has_kl_per_latent:
        raise DoesNotApply("posterior or prior are of all latents together, which have one KL")
    names = [latent_name(latent) for latent in range(subject.latent_dim)]
    return plots.kl_bars(subject.kl.tolist(), names, LEAST_KL)


def draws_over_density(subject: Subject) -> Figure:
    """Draws from the prior, and from the posteriors of a few test examples in the latent with the most KL.

    Each histogram of draws lies under its density.
    """
    if not subject.has_kl:
        raise DoesNotApply("a deterministic posterior is a point and has no density")
    latent = subject.order[0]
    encoded = posteriors(subject.module, subject.examples(DRAWN_EXAMPLES))
    distributions = {"prior p(z)": subject.prior_of(latent)}
    for number, label in enumerate(encoded.y.tolist()):
        title = f"q({latent_name(latent)}|x), x = example {number + 1}, class {label}"
        distributions[title] = subject.posterior(encoded, number, latent)
    panels = {}
    for title, distribution in distributions.items():
        with seeded(subject.seed, torch.device("cpu")):
            panels[title] = _over(distribution, distribution.sample(torch.Size([DRAWS])))
    names = (f"{DRAWS:,} draws", "density", "")
    title = f"q: {subject.family.__name__}, p: {_family_and_parameters(subject.prior_of(latent))}"
    return plots.draws_over_densities(panels, names, "z", title, a_row=3)


def _family_and_parameters(distribution: Distribution) -> str:
    if isinstance(distribution, Drawn):
        return "marginal, by draws"
    values = ", ".join(f"{name} {value.item():g}" for name, value in parameters(distribution).items())
    return f"{type(distribution).__name__} of {values}"


def _over(distribution: Distribution, draws: Tensor) -> plots.OverDensity:
    """Draws over a density, on an axis that holds most of both."""
    low, high = _span(distribution)
    ends = torch.quantile(draws[torch.isfinite(draws)].double(), torch.tensor([0.005, 0.995], dtype=torch.float64))
    limits = (min(low, ends[0].item()) if low else 0.0, max(high, ends[1].item()))
    x = torch.linspace(*limits, PLACES + 1)[1:]
    return plots.OverDensity(draws, limits, x, distribution.log_prob(x).exp())


def _span(distribution: Distribution) -> tuple[float, float]:
    """Ends of an axis that holds nearly all of a distribution; see ``SPAN``."""
    low, first, median, last, high = (float(quantile(distribution, torch.tensor(p))) for p in SPAN)
    if high - median > LONG * (last - median):
        low, high = first, last
    return (0.0 if 0 <= low < NEAR * high else low), high
