"""Save a dashboard of runs on W&B: ``python -m vae_hydra.dashboard entity=TEAM group=coffee_break``."""

from __future__ import annotations

from omegaconf import DictConfig

from vae_hydra.base.command import cli


@cli.command("dashboard")
def main(config: DictConfig) -> None:
    """Save the dashboard that the command line describes."""
    with cli.user_errors(output="output"):
        options = cli.settings(config)
        from vae_hydra.studies.dashboard import dashboard

        print(dashboard(options), flush=True)


if __name__ == "__main__":
    main()
