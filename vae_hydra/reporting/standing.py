"""Finished runs that are not comparable with others, and why: trained in part, or before scores changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vae_hydra import scoring

LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")
# What either leaves of an epoch is all of it if the option is not given.
SWITCHES = ("fast_dev_run", "overfit_batches")


def standing(config: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[str, str] | None:
    """``partial`` or ``outdated``, with the reason; None for a run that belongs in a table."""
    part = record.get("partial") or ", ".join(_limiting(config))
    if part:
        return "partial", f"trained or tested on a part of its batches ({part}); train it without"
    old = scoring.outdated(config, record)
    if old:
        return "outdated", f"{old}; move or delete its folder and train it again"
    return None


def _limiting(config: Mapping[str, Any]) -> list[str]:
    trainer = config.get("trainer")
    options = trainer if isinstance(trainer, Mapping) else {}
    limited = [name for name in LIMITS if not _is_all(options.get(name))]
    return [f"trainer.{name}={options[name]}" for name in [*limited, *(s for s in SWITCHES if options.get(s))]]


def _is_all(limit: Any) -> bool:
    # Lightning takes 1.0 for every batch, and the integer 1 for a single one.
    return limit is None or (isinstance(limit, float) and limit == 1)
