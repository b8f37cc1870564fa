"""Class embeddings, the aggregate posterior, and examples generated from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Gamma, LogNormal, Normal

from tests.support.samplers import SAMPLERS
from tests.support.slowly import rest_slow
from vae_hydra.analysis.sampling import WAYS, Request, generate_examples, tempered
from vae_hydra.distributions import InverseGaussian, StudentT
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.posteriors import AggregatePosterior, Posteriors, class_embeddings, mixed_embeddings, posteriors

FAMILIES = sorted({name.removesuffix("_learned") for name in SAMPLERS})
SMALL = ("model.encoder.widths=[16]", "model.decoder.widths=[16]", "model.latent_dim=3", "dataset.fraction=0.2")


@pytest.fixture
def built(configure):
    def build(*options):
        module, data = build_experiment(configure(*SMALL, *options))
        return module.eval(), data

    return build


@pytest.mark.parametrize("sampler", rest_slow(FAMILIES))
@pytest.mark.parametrize("by", WAYS)
def test_every_sampler_generates_every_way(sampler, by, built):
    module, data = built(f"sampler={sampler}")
    request = Request(n=23, by=by, temperature=0.7, components=2)
    torch.manual_seed(7)
    made = generate_examples(module, data, request)
    after = torch.rand(1)
    assert made.x.shape == (23, 1, 8, 8)
    assert torch.isfinite(made.x).all()
    assert bool(module.vae.sampler.prior().support.check(made.z).all())
    assert made.y is None if by == "prior" else made.y.tolist() == [i % 10 for i in range(23)]
    # The draws depend on the seed alone, and leave the global generator as it was.
    assert torch.equal(generate_examples(module, data, request).z, made.z)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(1), after)
    other = generate_examples(module, data, Request(n=23, seed=1, by=by, temperature=0.7, components=2))
    is_point = sampler == "deterministic" and by == "class_embedding"
    assert torch.equal(other.z, made.z) == is_point


@pytest.mark.parametrize(
    ("prior", "reference"),
    [
        (Normal(1.0, 2.0), stats.norm(1, 2 * 0.5)),
        (LogNormal(0.3, 0.8), stats.lognorm(0.8 * 0.5, scale=np.exp(0.3))),
    ],
)
def test_temperature_is_a_factor_on_the_scale_of_a_normal(prior, reference):
    drawn = tempered(prior, torch.Size([4000]), 0.5)
    assert stats.kstest(drawn.numpy(), reference.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("prior", "reference"),
    [
        (Gamma(2.0, 2.0), stats.gamma(2, scale=0.5)),
        (StudentT(5.0), stats.t(5)),
        (InverseGaussian(1.0, 1.0), stats.invgauss(1)),
    ],
)
def test_a_temperature_of_one_is_the_prior_and_a_lower_one_nearer_to_its_median(prior, reference):
    assert stats.kstest(tempered(prior, torch.Size([4000]), 1.0).numpy(), reference.cdf).pvalue > 0.01
    p = reference.cdf(tempered(prior, torch.Size([4000]), 0.3).numpy())
    assert stats.kstest(stats.norm.ppf(p), stats.norm(0, 0.3).cdf).pvalue > 0.01


def test_class_embeddings_are_means_of_parameters_and_mix_linearly():
    y = torch.tensor([0, 1, 0, 1])
    loc, scale = torch.arange(8.0).reshape(4, 2), torch.ones(4, 2)
    encoded = Posteriors({"loc": loc, "scale": scale}, loc, loc, y)
    found = class_embeddings(encoded, 2)
    assert found["loc"].tolist() == [[2, 3], [4, 5]]
    first, second = ({name: value[i] for name, value in found.items()} for i in (0, 1))
    assert mixed_embeddings(first, second, 0.25)["loc"].tolist() == [2.5, 3.5]
    assert mixed_embeddings(first, second, 1.0)["loc"].tolist() == [4, 5]
    with pytest.raises(ValueError, match=r"there are none of \[2\]"):
        class_embeddings(encoded, 3)


def test_posteriors_are_those_of_the_encoder_in_the_order_of_the_examples(built):
    module, data = built("sampler=gamma", "noise=normal", "noise.mode=stacked")
    examples = data.prepared("test", 30)
    encoded = posteriors(module, examples)
    q = module.vae.encode(module.noise.clean(examples.x))
    torch.testing.assert_close(encoded.parameters["concentration"], q.concentration.detach())
    torch.testing.assert_close(encoded.codes, (q.concentration / q.rate).detach())
    assert torch.equal(encoded.y, examples.y)


@pytest.mark.parametrize("family", [Normal(0.0, 1.0), LogNormal(0.0, 1.0)])
def test_a_mixture_finds_two_clusters_and_their_shares(family):
    rng = np.random.default_rng(0)
    where = np.where(rng.random(3000)[:, None] < 0.3, -3.0, 2.0)
    free = torch.from_numpy(where + 0.5 * rng.standard_normal((3000, 2)))
    draws = free.exp() if isinstance(family, LogNormal) else free
    drawn = AggregatePosterior(draws, family, 2, seed=0).sample(4000, seed=1)
    back = drawn.log() if isinstance(family, LogNormal) else drawn
    assert (back[:, 0] < -0.5).double().mean() == pytest.approx(0.3, abs=0.03)
    assert stats.ks_2samp(back[:, 1].numpy(), free[:, 1].numpy()).pvalue > 0.01
    cold = AggregatePosterior(draws, family, 2, seed=0).sample(1000, seed=1, temperature=1e-6)
    assert len(torch.unique(cold.round(decimals=3), dim=0)) == 2


def test_a_conditional_decoder_is_given_the_class(built):
    module, data = built("condition=both")
    made = generate_examples(module, None, Request(n=12))
    assert made.y.tolist() == [i % 10 for i in range(12)]
    seven = generate_examples(module, data, Request(n=12, label=7))
    assert seven.y.tolist() == [7] * 12
    assert torch.equal(seven.z, made.z)
    torch.testing.assert_close(seven.x[7], made.x[7])
    assert not torch.allclose(seven.x[0], made.x[0])
    with pytest.raises(ValueError, match="this run's decoder is given one class"):
        generate_examples(module, data, Request(by="class_embedding", label=1, mix=2))


def test_a_head_labels_examples_and_selects_those_of_a_class(built):
    module, data = built("classifier=mlp")
    made = generate_examples(module, None, Request(n=50))
    assert torch.equal(made.y, module.vae.classify(made.z).argmax(-1))
    common = int(made.y.mode().values)
    chosen = generate_examples(module, data, Request(n=50, label=common))
    assert (module.vae.classify(chosen.z).argmax(-1) == common).all()
    with torch.no_grad():
        [*module.vae.classifier.parameters()][-1][common] = 1e9
    rare = (common + 1) % 10
    with pytest.raises(ValueError, match=f"takes only 0 for {rare}"):
        generate_examples(module, data, Request(n=3, label=rare))


def test_mixed_embeddings_move_from_one_class_to_the_other(built):
    module, data = built("sampler=weibull")
    ends = [generate_examples(module, data, Request(n=400, by="class_embedding", label=label)).z for label in (1, 2)]
    mixed = [
        generate_examples(module, data, Request(n=400, by="class_embedding", label=1, mix=2, weight=weight))
        for weight in (0.0, 1.0)
    ]
    for end, mix in zip(ends, mixed, strict=True):
        torch.testing.assert_close(mix.z, end)
        assert mix.y is None


def test_impossible_requests_are_refused(built):
    module, data = built()
    cases = [
        ({"n": 0}, "n must be an integer ≥ 1"),
        ({"by": "magic"}, "by must be one of prior, class_embedding, aggregate_posterior"),
        ({"weight": 1.5}, r"weight must be a number in \[0, 1\]"),
        ({"temperature": 0}, "temperature must be a number > 0"),
        ({"label": -1}, "class must be an integer ≥ 0"),
        ({"mix": 3}, "needs by=class_embedding and class=NUMBER"),
        ({"label": 10, "by": "class_embedding"}, "class must be from 0 to 9, but got 10"),
        ({"label": 3}, "the prior of this run has no classes"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            generate_examples(module, data, Request(**options))
    with pytest.raises(ValueError, match="by=class_embedding needs the data"):
        generate_examples(module, None, Request(by="class_embedding"))
    with pytest.raises(ValueError, match="two classes or more"):
        generate_examples(*built("dataset=inverse_gaussian_2d"), Request(by="class_embedding"))


def test_vectors_of_one_class_come_from_one_mixture(built):
    made = generate_examples(*built("dataset=inverse_gaussian_2d"), Request(n=9, by="aggregate_posterior", draw=True))
    assert made.x.shape == (9, 2)
    assert made.y is None
