"""The parts of a model as functions from tensors to named tensors, without distributions or draws."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vae_hydra.data.examples import Examples
from vae_hydra.distributions import parameters
from vae_hydra.model.vae import VAE
from vae_hydra.training.module import VAEModule


class Encoder(nn.Module):
    """x [N, *input_shape], and labels y [N] if conditional → q(z|x)'s parameters by name and ``code``, each [N, L]."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = _with_only(vae, "encoder", "sampler", "condition")

    def forward(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        q = self.vae.encode(x, y)
        return {**parameters(q), "code": self.vae.sampler.code(q)}


class Decoder(nn.Module):
    """z [N, L], and labels y [N] if conditional → ``mean`` and p(x|z)'s parameters by name, each [N, *x_shape]."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = _with_only(vae, "decoder", "likelihood", "condition")

    def forward(self, z: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        p = self.vae.decode(z, y)
        # Parameters before the mean: computing it may add a redundant parameter.
        named = parameters(p)
        return {"mean": p.mean, **named}


class Classifier(nn.Module):
    """z [N, L] → ``logits`` [N, classes]."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = _with_only(vae, "classifier")

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        return {"logits": self.vae.classify(z)}


class Part(NamedTuple):
    """One part of a model.

    Attributes:
        name: ``encoder``, ``decoder`` or ``classifier``.
        module: takes ``inputs`` in their order.
        inputs: name → example input [N, …].
        outputs: of ``module`` for these inputs.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


@torch.no_grad()
def parts_of(module: VAEModule, examples: Examples) -> list[Part]:
    """The parts of a trained model, with their outputs for clean examples.

    With stacked noise the encoder's input has the noise's channels, left empty.
    """
    vae, taken = module.vae, module.take(examples)
    given_to_encoder = {"y": taken.y} if vae.condition is not None else {}
    given_to_decoder = given_to_encoder if vae.decodes_by_class else {}
    encoder = _tried("encoder", Encoder(vae), {"x": module.noise.clean(taken.x), **given_to_encoder})
    z = {"z": encoder.outputs["code"]}
    parts = [encoder, _tried("decoder", Decoder(vae), {**z, **given_to_decoder})]
    return parts if vae.classifier is None else [*parts, _tried("classifier", Classifier(vae), z)]


def _tried(name: str, module: nn.Module, inputs: dict[str, Tensor]) -> Part:
    return Part(name, module.eval(), inputs, module(*inputs.values()))


def _with_only(vae: VAE, *needed: str) -> VAE:
    """A copy with the ``needed`` parts only: a program holds all weights of the module it was made from."""
    kept = copy.deepcopy(vae)
    for name in dict(vae.named_children()).keys() - set(needed):
        setattr(kept, name, None)
    return kept
