"""Say what a run is: ``python -m vae_hydra.info run=outputs/<run>``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import hydra
from omegaconf import DictConfig

from vae_hydra import cli


@cli.typed_in_any_order
@hydra.main(version_base="1.3", config_path=cli.prepare(), config_name="info")
def main(config: DictConfig) -> None:
    """Say what the run is that the command line names."""
    with cli.user_errors(output=None):
        print(info(cli.settings(config)), flush=True)


def info(config: Mapping[str, Any]) -> str:
    """What a run is, as text or as JSON.

    Args:
        config: resolved configuration, as ``conf/info.yaml`` composes it.

    Raises:
        ValueError: if ``run`` is no run; what is damaged or missing of one is said, not raised.
    """
    from vae_hydra import checks
    from vae_hydra.facts import facts_of
    from vae_hydra.run import Run

    as_json, with_layers, with_config = (checks.boolean(key, config[key]) for key in ("json", "layers", "config"))
    run = Run.open(config["run"])
    if with_layers:
        cli.prepare_torch(None)
    facts = facts_of(run, config["trust"], look_inside=with_layers)
    if as_json:
        return json.dumps(_finite(facts), indent=2, ensure_ascii=False)
    from vae_hydra.overview import overview

    return overview(facts, with_config)


def _finite(value: Any) -> Any:
    """``value`` with null for numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
