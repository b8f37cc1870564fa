"""Noise: what is added, what is stacked, and in which shapes."""

from __future__ import annotations

import pytest
import scipy.stats
import torch
from torch.distributions import Distribution, Gamma, LogNormal, Normal, Uniform

from tests.support.composing import composed
from vae_hydra.data.noise import Noise
from vae_hydra.data.noise_nodes import nodes_to_test
from vae_hydra.distributions import InverseGaussian
from vae_hydra.runs.build import build_noise

FAMILIES = {
    "normal": (Normal(0.0, 1.0), scipy.stats.norm()),
    "lognormal": (LogNormal(0.0, 0.1), scipy.stats.lognorm(0.1)),
    "uniform": (Uniform(0.0, 1.0), scipy.stats.uniform()),
    "inverse_gaussian": (InverseGaussian(1.0, 1.0), scipy.stats.invgauss(1.0)),
    "gamma": (Gamma(2.0, 3.0), scipy.stats.gamma(2.0, scale=1 / 3)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_additive_noise_follows_its_distribution(name):
    distribution, exact = FAMILIES[name]
    x = torch.full((5000,), 0.25)
    added = (Noise(name, distribution)(x) - x).numpy()
    assert scipy.stats.kstest(added, exact.cdf).pvalue > 1e-3


@pytest.mark.parametrize("mode", ["additive", "stacked"])
def test_none_changes_nothing(mode):
    noise = Noise("none", mode=mode)
    x = torch.rand(4, 1, 8, 8)
    assert noise.is_none
    torch.testing.assert_close(noise(x)[:, :1], x)
    torch.testing.assert_close(noise(x), noise.clean(x))


def test_stacked_noise_fills_two_channels_and_leaves_the_image():
    noise = Noise("normal", Normal(0.0, 1.0), mode="stacked")
    x = torch.rand(4, 1, 8, 8)
    noisy = noise(x)
    assert noisy.shape[1:] == noise.input_shape((1, 8, 8)) == (3, 8, 8)
    torch.testing.assert_close(noisy[:, :1], x)
    extra = noisy[:, 1:].flatten(2)
    torch.testing.assert_close(extra.amin(-1), torch.zeros(4, 2))
    torch.testing.assert_close(extra.amax(-1), torch.ones(4, 2))
    assert not torch.equal(extra[:, 0], extra[:, 1])
    assert not noise.clean(x)[:, 1:].any()
    assert noise.clean(x).shape == noisy.shape


@pytest.mark.parametrize("mode", ["additive", "stacked"])
def test_leading_dimensions_draw_the_same_numbers(mode):
    noise = Noise("uniform", Uniform(0.0, 1.0), mode)
    x = torch.rand(2, 3, 1, 8, 8)
    torch.manual_seed(4)
    nested = noise(x)
    torch.manual_seed(4)
    torch.testing.assert_close(nested.flatten(0, 1), noise(x.flatten(0, 1)))


def test_stacked_noise_on_colour_images_adds_two_channels():
    assert Noise("normal", Normal(0.0, 1.0), "stacked")(torch.rand(2, 3, 8, 8)).shape == (2, 5, 8, 8)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match=r"noise.mode=stacked needs images .* shape \(2,\); use noise.mode=additive"):
        Noise("normal", Normal(0.0, 1.0), "stacked").input_shape((2,))
    with pytest.raises(ValueError, match="noise.mode must be one of additive, stacked, but got 'beside'"):
        Noise("normal", Normal(0.0, 1.0), "beside")
    with pytest.raises(ValueError, match="expected a torch.distributions.Distribution"):
        Noise("normal", "Normal")


def node(name, scale=1.0, **options):
    distribution = {"_target_": "torch.distributions.Normal", "loc": 0.0, "scale": scale}
    return {"_target_": "vae_hydra.data.noise.Noise", "name": name, "distribution": distribution, **options}


NONE = {**node("none"), "distribution": None}


def test_a_run_is_tested_on_its_own_noise_first_and_on_others():
    others = {"strong": node("strong", 3.0), "normal": node("normal"), "off": NONE, "dropped": None}
    assert list(nodes_to_test(node("uniform"), others)) == ["uniform", "strong", "normal"]
    assert list(nodes_to_test(NONE, others)) == ["strong", "normal"]
    assert nodes_to_test(NONE, None) == {}
    # Its own wins over one of the same name.
    assert nodes_to_test(node("normal", 5.0), others)["normal"]["distribution"]["scale"] == 5.0


def test_other_noises_take_the_mode_of_the_runs_own():
    nodes = nodes_to_test(node("normal", mode="stacked"), {"uniform": node("uniform", mode="additive")})
    assert [each["mode"] for each in nodes.values()] == ["stacked", "stacked"]
    assert nodes_to_test({**NONE, "mode": "stacked"}, {"a": node("a")})["a"]["mode"] == "stacked"


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"a": node("normal"), "b": node("normal", 3.0)}, "test_noises.a and test_noises.b are both called 'normal'"),
        ({"a": node("a/b")}, "test_noises.a.name must be made of letters, digits and '_', but got 'a/b'"),
        ({"a": "normal"}, "test_noises.a must be a group of options, but got 'normal'"),
        ("normal", "test_noises must be a group of options, but got 'normal'"),
    ],
)
def test_bad_noises_to_test_are_refused(others, message):
    with pytest.raises(ValueError, match=message):
        nodes_to_test(NONE, others)


def test_arguments_are_checked_also_after_torch_has_switched_that_off(monkeypatch):
    """As torch.export and torch.compile do for the whole process."""
    monkeypatch.setattr(Distribution, "_validate_args", False)
    with pytest.raises(ValueError, match="noise: Expected parameter scale"):
        build_noise(composed("noise=normal", "noise.distribution.scale=-3"))
    assert not Distribution._validate_args
