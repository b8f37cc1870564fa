"""A callback that stops training where a test wants to disturb it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from lightning.pytorch.callbacks import Callback

# The folder with a file for each run that is to wait, named like the run; without it nothing waits.
VARIABLE = "VAE_HYDRA_TEST_HOLD"


class Hold(Callback):
    """In the second epoch, wait for as long as there is a file with the name of the run, and say who waits."""

    def on_train_batch_end(self, trainer, *args) -> None:
        if VARIABLE not in os.environ or trainer.current_epoch != 1:
            return
        file = Path(os.environ[VARIABLE]) / Path(trainer.default_root_dir).name
        if file.exists():
            job = "_".join(os.environ.get(f"SLURM_ARRAY_{part}_ID", "") for part in ("JOB", "TASK"))
            file.with_suffix(".held").write_text(json.dumps({"process": os.getpid(), "job": job}))
        while file.exists():
            time.sleep(0.1)
