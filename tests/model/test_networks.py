"""Encoders and decoders: shapes solved, leading dimensions, initialisations, refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from vae_hydra.model.networks import (
    ArchitectDecoder,
    ArchitectEncoder,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    TaperedDecoder,
    TaperedEncoder,
    mlp,
)
from vae_hydra.model.networks.parts import ACTIVATIONS, INITIALISATIONS, ResidualBlock, Style

PAIRS = {
    "mlp": (MLPEncoder, MLPDecoder, {"widths": [7, 5]}),
    "mlp-linear": (MLPEncoder, MLPDecoder, {"widths": []}),
    "mlp-tapered": (TaperedEncoder, TaperedDecoder, {"depth": 3, "latent_dim": 3}),
    "conv": (ConvEncoder, ConvDecoder, {"channels": [3, 4]}),
    "conv-kernel-3": (ConvEncoder, ConvDecoder, {"channels": [3, 4, 5], "kernel": 3, "init": "kaiming_fan_out"}),
    "conv-architect": (ArchitectEncoder, ArchitectDecoder, {"layers": 3, "features": [5, 3, 2]}),
    "conv-residual": (ConvEncoder, ConvDecoder, {"channels": [3, 4], "residual_blocks": 2, "activation": "prelu"}),
}
SIZES = [(8, 8), (9, 9), (13, 8), (28, 28), (31, 17), (64, 64)]


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


def test_a_compressed_input_is_its_signed_logarithm():
    x = torch.tensor([[-math.e + 1, 0.0, math.e**2 - 1, -1e30]])
    torch.manual_seed(0)
    encoder = MLPEncoder((4,), 3, [5], compress=True)
    expected = encoder.layers(torch.tensor([[-1.0, 0.0, 2.0, -30 * math.log(10)]]))
    torch.testing.assert_close(encoder(x), expected)
    with pytest.raises(ValueError, match="model.encoder.compress must be true or false, but got 'log'"):
        MLPEncoder((4,), 3, [5], compress="log")


@pytest.mark.parametrize(
    ("d_x", "d_z", "n", "widths"),
    [(784, 8, 4, [590, 396, 202]), (64, 10, 3, [46, 28]), (10, 3, 3, [8, 6]), (9, 9, 2, [9]), (5, 2, 1, [])],
)
def test_tapered_widths_follow_the_formula(d_x, d_z, n, widths):
    assert mlp.tapered_widths(d_x, d_z, n) == widths


def test_tapered_networks_mirror_each_other_around_other_ends():
    # Two parameters a latent leave the encoder; one label more than the latents enters the decoder.
    encoder = TaperedEncoder((1, 28, 28), 16, depth=4, latent_dim=8)
    decoder = TaperedDecoder(9, (1, 28, 28), depth=4, latent_dim=8)
    assert widths_of(encoder) == [784, 590, 396, 202, 16]
    assert widths_of(decoder) == [9, 202, 396, 590, 784]


def widths_of(network):
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    return [linear[0].in_features, *(layer.out_features for layer in linear)]


def passing(network, part, given):
    """What goes into and comes out of one part of a network."""
    seen = []
    handle = getattr(network, part).register_forward_hook(lambda _, ins, out: seen.extend([ins[0], out]))
    network(given)
    handle.remove()
    return seen


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "rounded"), [(4, math.floor), (3, math.ceil)])
def test_convolutions_halve_any_size_and_return_to_it(size, depth, kernel, rounded):
    channels = [4, 5, 6][:depth]
    encoder = ConvEncoder((2, *size), 7, channels, kernel=kernel)
    decoder = ConvDecoder(7, (2, *size), channels, kernel=kernel)
    smallest = (3, channels[-1], *(rounded(side / 2**depth) for side in size))
    assert passing(encoder, "layers", torch.randn(3, 2, *size))[1].shape == smallest
    start, image = passing(decoder, "layers", torch.randn(3, 7))
    assert (start.shape, image.shape) == (smallest, (3, 2, *size))
    assert encoder(torch.randn(3, 2, *size)).shape == (3, 7)


def test_convolutions_are_drawn_as_written_out():
    torch.manual_seed(1)
    encoder, decoder = ConvEncoder((1, 28, 13), 5, [3, 4]), ConvDecoder(2, (1, 28, 13), [3, 4])
    torch.manual_seed(1)
    expected_encoder = nn.ModuleDict(
        {
            "layers": nn.Sequential(nn.Conv2d(1, 3, 4, 2, 1), nn.ReLU(), nn.Conv2d(3, 4, 4, 2, 1), nn.ReLU()),
            "head": nn.Linear(4 * 7 * 3, 5),
        }
    )
    expected_decoder = nn.ModuleDict(
        {
            "stem": nn.Sequential(nn.Linear(2, 4 * 7 * 3), nn.ReLU()),
            "layers": nn.Sequential(
                nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(3, 1, 4, 2, 1, (0, 1))
            ),
        }
    )
    for network, expected in ((encoder, expected_encoder), (decoder, expected_decoder)):
        torch.testing.assert_close(network.state_dict(), expected.state_dict(), rtol=0, atol=0)
        assert str(network.layers) == str(expected["layers"])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("layers", "features"), [(3, [64, 7, 7]), (4, [16, 2, 2]), (3, [4, 8, 5]), (7, [9, 1, 1])])
def test_an_architect_meets_its_features_exactly(size, layers, features):
    needed = max(halvings_and_rest(side, target) for side, target in zip(size, features[1:], strict=True))
    if needed > layers:
        with pytest.raises(ValueError, match=f"model.layers must be at least {needed} .* but got {layers}"):
            ArchitectEncoder((2, *size), 7, layers, features)
        return
    encoder = ArchitectEncoder((2, *size), 7, layers, features)
    decoder = ArchitectDecoder(7, (2, *size), layers, features)
    assert passing(encoder, "layers", torch.randn(3, 2, *size))[1].shape == (3, *features)
    start, image = passing(decoder, "layers", torch.randn(3, 7))
    assert (start.shape, image.shape) == ((3, *features), (3, 2, *size))
    # Each way has as many convolutions, and each image on the way out is as large as on the way in.
    inward, outward = sizes_between(encoder, torch.randn(1, 2, *size)), sizes_between(decoder, torch.randn(1, 7))
    assert len(inward) == layers
    assert [[2, *size], *inward] == [*outward[::-1], features]


def halvings_and_rest(side, target):
    halvings = 0
    while side // 2 >= target:
        side //= 2
        halvings += 1
    return halvings + (side > target)


def sizes_between(network, given):
    """[C, H, W] after each convolution."""
    sizes = []
    for layer in network.layers:
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(lambda _, __, out: sizes.append(list(out.shape[1:])))
    network(given)
    return sizes


@pytest.mark.parametrize(
    ("size", "features", "expected"),
    [
        ((28, 28), [64, 7, 7], [(22, 4, 4, 2, 2), (43, 4, 4, 2, 2), (64, 3, 3, 1, 1)]),
        ((8, 8), [64, 7, 7], [(22, 4, 4, 1, 1), (43, 3, 3, 1, 1), (64, 3, 3, 1, 1)]),
        ((31, 17), [9, 7, 7], [(4, 4, 4, 2, 2), (6, 4, 4, 2, 1), (9, 3, 3, 1, 1)]),
        ((13, 9), [4, 7, 3], [(2, 9, 4, 1, 2), (3, 3, 4, 1, 1), (4, 3, 3, 1, 1)]),
    ],
)
def test_an_architect_halves_first_then_solves_a_kernel_then_keeps(size, features, expected):
    layers = [m for m in ArchitectEncoder((1, *size), 5, 3, features).layers if isinstance(m, nn.Conv2d)]
    assert [(layer.out_channels, *layer.kernel_size, *layer.stride) for layer in layers] == expected
    assert all(layer.padding == (1, 1) for layer in layers)


def test_a_decoder_starts_as_a_pixel_shuffle_of_one_pixel():
    decoder = ConvDecoder(2, (1, 64, 64), [4, 4, 4])
    z = torch.randn(3, 2)
    start, _ = passing(decoder, "layers", z)
    assert torch.equal(start, F.pixel_shuffle(decoder.stem(z)[..., None, None], 8))


@pytest.mark.parametrize("init", INITIALISATIONS)
def test_residual_blocks_start_as_the_identity(init):
    encoder = ConvEncoder((1, 8, 8), 3, [4, 5], residual_blocks=2, init=init, init_std=0.5)
    decoder = ConvDecoder(3, (1, 8, 8), [4, 5], residual_blocks=2, init=init, init_std=0.5)
    channels = [
        [block.last.in_channels for block in network.modules() if isinstance(block, ResidualBlock)]
        for network in (encoder, decoder)
    ]
    assert channels == [[4, 4, 5, 5], [4, 4]]
    for block in encoder.modules():
        if isinstance(block, ResidualBlock):
            assert block.inner[1].weight.any()
            x = torch.randn(2, block.last.in_channels, 4, 3)
            assert torch.equal(block(x), x)


def test_residual_block_adds_two_convolutions():
    block = ResidualBlock(2, Style(activation="tanh"))
    x, first, last = torch.randn(3, 2, 4, 5), block.inner[1], block.last
    inside = torch.tanh(F.conv2d(torch.tanh(x), first.weight, first.bias, padding=1))
    torch.testing.assert_close(block(x), x + F.conv2d(inside, last.weight, last.bias, padding=1))


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


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_initialisation_reaches_every_layer(pair):
    encoder_class, decoder_class, options = pair
    # So wide that torch's own draws, all below 1, cannot pass for it.
    style = {**options, "init": "normal", "init_std": 1000.0}
    for network in (encoder_class((1, 8, 8), 6, **style), decoder_class(3, (1, 8, 8), **style)):
        zero = {id(block.last) for block in network.modules() if isinstance(block, ResidualBlock)}
        layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
        assert not any(layer.bias.any() for layer in layers)
        assert all(layer.weight.abs().max() > 10 for layer in layers if id(layer) not in zero)


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
        (lambda: ConvEncoder((2,), 3, [4]), r"convolutional models need images .* shape \(2,\)"),
        (lambda: ConvEncoder((1, 8, 8), 3, [4] * 4), "1 to 3 entries for 8×8"),
        (lambda: ConvEncoder((1, 8, 8), 3, []), "1 to 3 entries"),
        (lambda: ConvEncoder((1, 9, 9), 3, [4] * 5, kernel=3), "1 to 4 entries for 9×9"),
        (lambda: ConvEncoder((1, 8, 8), 3, [4], kernel=5), "model.kernel must be 3 or 4, but got 5"),
        (lambda: ConvDecoder(3, (1, 8, 8), [4, 4], residual_blocks=-1), "model.residual_blocks must be an integer ≥ 0"),
        (lambda: ArchitectEncoder((4,), 3, 2, [4, 2, 2]), "convolutional models need images"),
        (lambda: ArchitectEncoder((1, 8, 6), 3, 2, [4, 7, 7]), "no larger than the images, 8×6, but got 7×7; lower"),
        (lambda: ArchitectEncoder((1, 28, 28), 3, 1, [4, 7, 7]), "at least 2 to lead from 28×28 to 7×7, but got 1"),
        (lambda: ArchitectDecoder(3, (1, 28, 28), 2, [4, 7]), r"must be \[channels, height, width\], but got \[4, 7\]"),
        (lambda: ArchitectDecoder(3, (1, 8, 8), 0, [4, 7, 7]), "model.layers must be an integer ≥ 1, but got 0"),
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
