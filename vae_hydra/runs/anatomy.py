"""The anatomy of a model: its parts, their parameters, and its layers with their shapes."""

from __future__ import annotations

from typing import NamedTuple

import lightning as L
import torch
from lightning.pytorch.utilities.model_summary import ModelSummary
from torch import Tensor

from vae_hydra.model.vae import VAE
from vae_hydra.training.module import VAEModule


class Layer(NamedTuple):
    """A layer without layers inside; shapes are those of a batch of one example."""

    name: str
    kind: str
    parameters: int
    shape_in: list[int]
    shape_out: list[int]


class _Shown(L.LightningModule):
    """A pass through every part, as the LightningModule that Lightning's summary needs."""

    def __init__(self, vae: VAE, example: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.vae, self.example_input_array = vae, example

    def forward(self, x: Tensor, y: Tensor) -> None:
        output = self.vae(x, y)
        if self.vae.classifier is not None:
            self.vae.classify(output.z)


def parameter_counts(vae: VAE) -> dict[str, int]:
    """Part → number of parameters; parts without parameters are left out."""
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in vae.named_children()}
    return {name: count for name, count in counts.items() if count}


def layers(module: VAEModule) -> list[Layer]:
    """The layers of encoder, decoder and classifier, in order."""
    vae = module.vae
    x = module.noise.clean(next(vae.parameters()).new_zeros(1, *vae.x_shape))
    summary = ModelSummary(_Shown(vae, (x, torch.zeros(1, dtype=torch.long, device=x.device))), max_depth=-1)
    columns = (summary.layer_names, summary.layer_types, summary.param_nums, summary.in_sizes, summary.out_sizes)
    rows = [Layer(name.removeprefix("vae."), *rest) for name, *rest in zip(*columns, strict=True)]
    parents = {row.name.rpartition(".")[0] for row in rows}
    networks = ("encoder.", "decoder.", "classifier.")
    return [row for row in rows if row.name not in parents and row.name.startswith(networks)]
