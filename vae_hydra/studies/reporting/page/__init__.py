"""The page of a report: one HTML file with its data, its style and its script."""

from vae_hydra.studies.reporting.page.document import Page, render

__all__ = ["Page", "render"]
