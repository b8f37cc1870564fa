"""Tensors or arrays → matplotlib figures. Nothing here opens a window or keeps a global figure."""

from vae_hydra.plots.charts import bars, curves, heat_maps, loss_curves
from vae_hydra.plots.clouds import histograms, latent_plane, scatter_panels
from vae_hydra.plots.contrasts import Contrast, contrasts
from vae_hydra.plots.images import image_columns, image_grid, image_rows

__all__ = [
    "Contrast",
    "bars",
    "contrasts",
    "curves",
    "heat_maps",
    "histograms",
    "image_columns",
    "image_grid",
    "image_rows",
    "latent_plane",
    "loss_curves",
    "scatter_panels",
]
