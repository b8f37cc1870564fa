"""Encoders and decoders: shapes solved, leading dimensions, initialisations, refusals."""

from __future__ import annotations

import doctest
import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from vae_hydra import networks
from vae_hydra.networks import (
    ACTIVATIONS,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    TaperedDecoder,
    TaperedEncoder,
    tapered_widths,
)

PAIRS = {
    "mlp": (MLPEncoder, MLPDecoder, {"widths": [7, 5]}),
    "mlp-linear": (MLPEncoder, MLPDecoder, {"widths": []}),
    "mlp-tapered": (TaperedEncoder, TaperedDecoder, {"depth": 3, "latent_dim": 3}),
    "conv": (ConvEncoder, ConvDecoder, {"channels": [3, 4]}),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("lead", [(), (6,), (2, 3)])
def test_any_leading_dimensions(pair, lead):
    encoder_class, decoder_class, options = pair
    encoder = encoder_class((1, 8, 8), 6, **options)
    decoder = decoder_class(3, (1, 8, 8), **options)
    x, z = torch.randn(*lead, 1, 8, 8), torch.randn(*lead, 3)
    assert encoder(x).shape == (*lead, 6)
    assert decoder(z).shape == (*lead, 1, 8, 8)
    flat = encoder(x.reshape(-1, 1, 8, 8)).reshape(*lead, 6)
    torch.testing.assert_close(encoder(x), flat)


@pytest.mark.parametrize(
    ("d_x", "d_z", "n", "widths"),
    [(784, 8, 4, [590, 396, 202]), (64, 10, 3, [46, 28]), (10, 3, 3, [8, 6]), (9, 9, 2, [9]), (5, 2, 1, [])],
)
def test_tapered_widths_follow_the_formula(d_x, d_z, n, widths):
    assert tapered_widths(d_x, d_z, n) == widths


def test_tapered_networks_mirror_each_other_around_other_ends():
    # Two parameters a latent leave the encoder; one label more than the latents enters the decoder.
    encoder = TaperedEncoder((1, 28, 28), 16, depth=4, latent_dim=8)
    decoder = TaperedDecoder(9, (1, 28, 28), depth=4, latent_dim=8)
    assert widths_of(encoder) == [784, 590, 396, 202, 16]
    assert widths_of(decoder) == [9, 202, 396, 590, 784]


def widths_of(network):
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    return [linear[0].in_features, *(layer.out_features for layer in linear)]


def test_examples_in_docstrings_run():
    result = doctest.testmod(networks)
    assert (result.attempted, result.failed) == (1, 0)


@pytest.mark.parametrize("size", [(8, 8), (9, 9), (13, 8), (28, 28), (31, 17), (64, 64)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_convolutions_return_to_any_size(size, depth):
    channels = [4, 5, 6][:depth]
    assert ConvEncoder((2, *size), 7, channels)(torch.randn(3, 2, *size)).shape == (3, 7)
    assert ConvDecoder(7, (2, *size), channels)(torch.randn(3, 7)).shape == (3, 2, *size)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_builds(activation):
    assert torch.isfinite(MLPEncoder((4,), 2, [3], activation=activation)(torch.randn(5, 4))).all()


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ("glorot_uniform", math.sqrt(2 / (400 + 300))),
        ("kaiming_normal", math.sqrt(2 / 400)),
        ("kaiming_fan_out", math.sqrt(2 / 300)),
        ("normal", 0.02),
    ],
)
def test_initialisations_have_their_spread_and_zero_biases(init, expected):
    layer = MLPEncoder((400,), 300, [], init=init, init_std=0.02).layers[0]
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)
    assert not layer.bias.any()


def test_initialisation_reaches_every_convolution():
    decoder = ConvDecoder(3, (1, 8, 8), [3, 4], init="normal", init_std=0.5)
    layers = [m for m in decoder.modules() if isinstance(m, (nn.ConvTranspose2d, nn.Linear))]
    assert len(layers) == 3
    assert not any(layer.bias.any() for layer in layers)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_many_networks_run_as_one_under_vmap(pair):
    encoder_class, _, options = pair
    encoders = [encoder_class((1, 8, 8), 6, **options) for _ in range(3)]
    parameters, buffers = stack_module_state(encoders)
    x = torch.randn(3, 5, 1, 8, 8)
    together = vmap(lambda p, b, one: functional_call(encoders[0], (p, b), (one,)))(parameters, buffers, x)
    apart = torch.stack([encoder(one) for encoder, one in zip(encoders, x, strict=True)])
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvEncoder((2,), 3, [4]), r"model=conv needs images .* shape \(2,\)"),
        (lambda: ConvEncoder((1, 8, 8), 3, [4] * 4), "1 to 3 entries for 8×8"),
        (lambda: ConvEncoder((1, 8, 8), 3, []), "1 to 3 entries"),
        (lambda: ConvDecoder(3, (1, 8, 8), [0]), r"model.channels\[0\] must be an integer ≥ 1, but got 0"),
        (lambda: TaperedEncoder((4,), 3, 2, 5), "model.latent_dim must be at most 4, .* but got 5; .* use model=mlp"),
        (lambda: TaperedDecoder(3, (1, 8, 8), 2, 65), "model.latent_dim must be at most 64"),
        (lambda: TaperedEncoder((4,), 3, 0, 2), "model.depth must be an integer ≥ 1, but got 0"),
        (lambda: MLPEncoder((4,), 3, 5), "widths must be a list of integers ≥ 1, but got 5"),
        (
            lambda: MLPEncoder((4,), 3, [5], activation="swish"),
            "model.activation must be one of relu, .* but got 'swish'",
        ),
        (lambda: MLPEncoder((4,), 3, [5], init="zeros"), "model.init must be one of"),
        (lambda: MLPEncoder((4,), 3, [5], init_std=0.0), "model.init_std must be a number > 0"),
    ],
)
def test_bad_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("network_class", [MLPEncoder, ConvEncoder])
def test_an_unknown_option_is_named(network_class):
    with pytest.raises(TypeError, match="unexpected keyword argument 'activate'"):
        network_class((1, 8, 8), 3, [5], activate="relu")
