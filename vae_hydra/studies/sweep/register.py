"""What Hydra has to know before a command may sweep: our plugins, names of sweeps and configuration loader."""

from __future__ import annotations

import hydra._internal.hydra as hydra_application
from hydra.core.plugins import Plugins

from vae_hydra.base.hydra_versions import register_resolver
from vae_hydra.studies.sweep.config_loader import ConfigLoader
from vae_hydra.studies.sweep.names import sweep_id, sweep_name
from vae_hydra.studies.sweep.submitit_launcher import register_options


def register() -> None:
    """Make our sweeper and launchers, the names of sweeps and our configuration loader known to Hydra."""
    # Hydra finds the plugins of a wheel by itself, but not those of an editable install.
    from hydra_plugins.vae_hydra import Grids, Local, Slurm

    for plugin in (Grids, Local, Slurm):
        Plugins.instance().register(plugin)
    # After Hydra has read the plugins that are installed, hydra-submitit-launcher among them.
    register_options()
    register_resolver("vae_hydra.sweep", sweep_name)
    register_resolver("vae_hydra.sweep_id", sweep_id)
    # Hydra has no option for its loader.
    hydra_application.ConfigLoaderImpl = ConfigLoader  # type: ignore[misc]
