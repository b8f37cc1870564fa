"""Encoders and decoders: multilayer perceptrons and convolutions, with sizes derived from shapes."""

from vae_hydra.model.networks.conv import ArchitectDecoder, ArchitectEncoder, ConvDecoder, ConvEncoder
from vae_hydra.model.networks.mlp import MLPDecoder, MLPEncoder, TaperedDecoder, TaperedEncoder

__all__ = [
    "ArchitectDecoder",
    "ArchitectEncoder",
    "ConvDecoder",
    "ConvEncoder",
    "MLPDecoder",
    "MLPEncoder",
    "TaperedDecoder",
    "TaperedEncoder",
]
