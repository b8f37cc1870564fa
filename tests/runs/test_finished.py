"""What a command says before it imports torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.composing import QUICK
from vae_hydra.runs.finished import finished_scores, refuse_early
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train

# An installation for the CPU may lack torchvision, on which the last one depends.
REQUESTED = {"wandb", "tensorboard", "vae_hydra.drawing.plots", "vae_hydra.data.sources.torchvision_images"}
SLIM = (
    f"import sys; REQUESTED = {REQUESTED}; from vae_hydra.train import main\n"
    "try: main()\n"
    "finally:\n"
    "    print('slow imports:', sorted({'torch', 'lightning', 'scipy', 'matplotlib'} & sys.modules.keys()))\n"
    "    print('on request:', sorted(REQUESTED & sys.modules.keys()))"
)


def slim(*arguments: str) -> tuple[int, str]:
    """Exit code and output of a command that reports what it imported."""
    result = subprocess.run([sys.executable, "-c", SLIM, *arguments], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def test_a_finished_run_is_reported_without_torch(configure):
    config = configure()
    metrics = train(config)
    code, text = slim(*QUICK, f"output_dir={config['output_dir']}")
    assert code == 0, text
    assert "is done already" in text
    assert f"{metrics['reconstruct/clean/half_sse']:.4f}" in text
    assert "slow imports: []" in text


def test_a_finished_run_that_lacks_a_test_is_not_finished(configure):
    config = configure("test_noises=null")
    train(config)
    assert finished_scores(config) == Run.of(config).metrics
    assert finished_scores(configure()) is None
    assert finished_scores(configure("seed=1")) is None


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("seed=-1", "seed must be an integer ≥ 0"),
        ("threads=0", "threads must be an integer from 1 to 1024, but got 0"),
        ("keep_optimizer=perhaps", "keep_optimizer must be true or false"),
        ("dataset.batch_size=0", "dataset.batch_size must be an integer ≥ 1"),
        ("init_from=nowhere", "init_from=nowhere is not a run"),
    ],
)
def test_wrong_values_are_refused_without_torch(option, message, tmp_path, configure):
    with pytest.raises(ValueError, match=message):
        refuse_early(configure(option))
    code, text = slim(option, f"output_dir={tmp_path}")
    assert code == 2
    assert message in text
    assert "slow imports: []" in text
    assert not list(tmp_path.iterdir())


def test_a_run_says_first_what_takes_time_and_imports_loggers_and_plots_only_where_used(tmp_path):
    code, text = slim(*QUICK, "trainer.max_epochs=1", f"output_dir={tmp_path}")
    assert code == 0, text
    assert text.startswith("loading  torch and Lightning\n")
    assert "on request: []" in text
