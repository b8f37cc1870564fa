"""Tensors or arrays → matplotlib figures. They open no window and leave matplotlib's settings as they are."""

from vae_hydra.drawing.plots.charts import curves, loss_curves, means
from vae_hydra.drawing.plots.clouds import histograms, latent_plane, point_clouds, scatter_panels
from vae_hydra.drawing.plots.contrasts import Contrast, contrasts
from vae_hydra.drawing.plots.densities import OverDensity, draws_over_densities, parameter_histograms, value_histograms
from vae_hydra.drawing.plots.images import image_columns, image_grid, image_rows
from vae_hydra.drawing.plots.kl import kl_bars, kl_over_time
from vae_hydra.drawing.plots.maps import correlation_matrix, heat_maps
from vae_hydra.drawing.plots.mosaics import Mosaic, image_mosaics
from vae_hydra.drawing.plots.tails import survival_curves, tail_index_curves

__all__ = [
    "Contrast",
    "Mosaic",
    "OverDensity",
    "contrasts",
    "correlation_matrix",
    "curves",
    "draws_over_densities",
    "heat_maps",
    "histograms",
    "image_columns",
    "image_grid",
    "image_mosaics",
    "image_rows",
    "kl_bars",
    "kl_over_time",
    "latent_plane",
    "loss_curves",
    "means",
    "parameter_histograms",
    "point_clouds",
    "scatter_panels",
    "survival_curves",
    "tail_index_curves",
    "value_histograms",
]
