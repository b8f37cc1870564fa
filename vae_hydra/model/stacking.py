"""Many models of one shape as one, with a leading run axis.

A stacked model takes inputs [M, B, …] where its members take [B, …]. Its parameters are those of the members, stacked
along a new first axis, under the members' own names.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae_hydra.base.draws import CannotStack
from vae_hydra.distributions import FixedDistribution, TrainableDistribution
from vae_hydra.model.likelihoods import Likelihood
from vae_hydra.model.networks.conv import PlannedDecoder, PlannedEncoder
from vae_hydra.model.priors import Prior, VampPrior
from vae_hydra.model.samplers import Sampler
from vae_hydra.model.vae import VAE

Convolution = nn.Conv2d | nn.ConvTranspose2d


class StackedLinear(nn.Module):
    """M linear layers as one batched product: [M, B, in] → [M, B, out]."""

    def __init__(self, members: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([member.weight for member in members])
        self.bias = _stacked_parameter([member.bias for member in members])

    def forward(self, x: Tensor) -> Tensor:
        # W·xᵀ rather than x·Wᵀ: the gradient of W then has the layout of W, and no step copies it.
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight, x.transpose(1, 2)).transpose(1, 2)


class StackedConvolution(nn.Module):
    """M convolutions, plain or transposed, as one in M groups: [M, B, C, H, W] → [M, B, C', H', W']."""

    def __init__(self, members: Sequence[Convolution]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([member.weight for member in members])
        self.bias = _stacked_parameter([member.bias for member in members])
        first = members[0]
        self.options: dict[str, Any] = {"stride": first.stride, "padding": first.padding, "dilation": first.dilation}
        self.convolve: Callable[..., Tensor] = nn.functional.conv2d
        if isinstance(first, nn.ConvTranspose2d):
            self.convolve = nn.functional.conv_transpose2d
            self.options["output_padding"] = first.output_padding

    def forward(self, x: Tensor) -> Tensor:
        runs = len(x)
        grouped = x.transpose(0, 1).flatten(1, 2)
        result = self.convolve(grouped, self.weight.flatten(0, 1), self.bias.flatten(), groups=runs, **self.options)
        return result.unflatten(1, (runs, -1)).transpose(0, 1)


class StackedPReLU(nn.Module):
    """M PReLUs with one slope each: max(0, x) + slope·min(0, x) for x [M, …]."""

    def __init__(self, members: Sequence[nn.PReLU]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([member.weight for member in members])

    def forward(self, x: Tensor) -> Tensor:
        slope = self.weight.reshape(-1, *[1] * (x.dim() - 1))
        return torch.where(x >= 0, x, slope * x)


def stack_models(members: Sequence[VAE]) -> VAE:
    """One VAE whose networks, prior and likelihood hold all members' parameters: inputs [M, B, …].

    Raises:
        CannotStack: for a layer that has no stacked version.
    """
    model = _stack(members, event_dims=1)
    assert isinstance(model, VAE)
    return model


def member_state(stacked: Mapping[str, Tensor], member: VAE, run: int) -> dict[str, Tensor]:
    """The state dict of the ``run``-th member; ``member`` is any model of its shape."""
    return {name: stacked[name][run].reshape(like.shape).clone() for name, like in member.state_dict().items()}


def _stack(members: Sequence[nn.Module], event_dims: int) -> nn.Module:
    first = members[0]
    # Not their subclasses, which may do more.
    if type(first) is nn.Linear:
        return StackedLinear(members)  # type: ignore[arg-type]
    if type(first) in (nn.Conv2d, nn.ConvTranspose2d):
        return StackedConvolution(members)  # type: ignore[arg-type]
    if isinstance(first, nn.PReLU):
        return StackedPReLU(members)  # type: ignore[arg-type]
    own = list(first.named_parameters(recurse=False))
    if own and not isinstance(first, (Likelihood, Prior, TrainableDistribution)):
        raise CannotStack(f"{type(first).__name__} holds parameters and has no stacked version")
    stacked = _shallow_copy(first)
    if isinstance(first, Likelihood):
        event_dims = len(first.x_shape)
    for name, _ in own:
        values = [getattr(member, name).detach() for member in members]
        if isinstance(first, Likelihood):
            values = [_with_leading(value, event_dims) for value in values]
        elif not isinstance(first, VampPrior):
            # An axis for the examples. Pseudo-inputs have one: the encoder sees them as examples.
            values = [value.unsqueeze(0) for value in values]
        stacked.register_parameter(name, _stacked_parameter(values))
    if isinstance(first, (FixedDistribution, Sampler, Likelihood)):
        _stack_buffers(stacked, members, event_dims)
    if isinstance(first, VampPrior):
        for name, _ in first.named_buffers(recurse=False):
            bounds = torch.stack([member.get_buffer(name) for member in members])
            stacked.register_buffer(name, bounds.reshape(-1, *[1] * first.inputs.dim()))
    if isinstance(first, (PlannedEncoder, PlannedDecoder, Prior)):
        stacked.has_runs = True  # type: ignore[assignment]
    for name, _ in first.named_children():
        stacked.add_module(name, _stack([member.get_submodule(name) for member in members], event_dims))
    return stacked


def _shallow_copy(module: nn.Module) -> nn.Module:
    new = copy.copy(module)
    for name in ("_parameters", "_buffers", "_modules"):
        new.__dict__[name] = dict(module.__dict__[name])
    return new


def _stack_buffers(stacked: nn.Module, members: Sequence[nn.Module], event_dims: int) -> None:
    """Buffers that differ between members get a run axis; those that do not stay as they are."""
    for name, value in members[0].named_buffers(recurse=False):
        values = [member.get_buffer(name) for member in members]
        if not all(torch.equal(value, other) for other in values):
            stacked.register_buffer(name, torch.stack([_with_leading(v, event_dims) for v in values]), persistent=False)


def _with_leading(value: Tensor, event_dims: int) -> Tensor:
    """A value that broadcasts with an event, with axes for the batch and for what it lacks of the event's."""
    return value.reshape(1, *[1] * (event_dims - value.dim()), *value.shape)


def _stacked_parameter(values: Sequence[Tensor | None]) -> nn.Parameter:
    return nn.Parameter(torch.stack([value.detach() for value in values if value is not None]))
