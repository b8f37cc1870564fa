"""What a published loss of 94.6 nats an image measures: the network of experiment=variational_autoencoders/mlp
trained, as it was, on the mean of two draws of z, whose noise is σ/√2 while its KL is that of σ.

    python benchmarks/two_draws.py [OPTION=VALUE ...]     # about as long as that experiment itself
"""

from __future__ import annotations

import sys

from hydra import compose
from torch import Tensor
from torch.distributions import Distribution, Normal
from torch.types import _size

from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import plain
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.model.samplers import NormalSampler

CONF = cli.prepare()


class MeanOfTwoDraws(Normal):
    """A Normal that is drawn as the mean of two draws, and has the density and KL of one."""

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        return (super().rsample(sample_shape) + super().rsample(sample_shape)) / 2


class TwoDrawSampler(NormalSampler):
    """q(z|x) as the notebook draws it."""

    def forward(self, features: Tensor) -> Distribution:
        q = super().forward(features)
        return MeanOfTwoDraws(q.mean, q.stddev, validate_args=False)


def main() -> None:
    """Train it and print what the notebook calls its validation loss, which is no ELBO."""
    from vae_hydra.runs.train import train

    options = ["experiment=variational_autoencoders/mlp", "sampler.name=two_draws", *sys.argv[1:]]
    with initialized(CONF):
        config = plain(compose("train", options))
    config["sampler"]["_target_"] = f"{__name__}.{TwoDrawSampler.__name__}"
    print(f"loss {train(config)['reconstruct/clean/loss']:.2f} nats an image")


if __name__ == "__main__":
    main()
