"""Options of speed: they change no result, and say where they do not pay."""

from __future__ import annotations

import pytest
import torch

from vae_hydra.runs.compatibility import has_bfloat16, warn_of_slow_options
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train

AVX2, AVX512_BF16, AMX, ARM = ({name: True} for name in ("avx2", "avx512_bf16", "amx_bf16", "bf16"))


@pytest.mark.parametrize(("capabilities", "has"), [(AVX2, False), ({}, False), (AVX512_BF16, True), (AMX, True)])
def test_bfloat16_needs_its_instructions(capabilities, has):
    assert has_bfloat16(capabilities) == has
    assert has_bfloat16(ARM)


@pytest.mark.parametrize(
    ("option", "processor", "warning"),
    [
        (
            "trainer.precision=bf16-mixed",
            "cpu",
            "12 to 20 times slower than 32-true on a CPU without bfloat16 arithmetic",
        ),
        ("trainer.precision=bf16-mixed", "cuda", ""),
        ("compile=true", "cpu", "compile=true is for GPUs"),
        ("compile=true", "cuda", ""),
        ("seed=0", "cpu", ""),
    ],
)
def test_a_slow_option_is_warned_of(option, processor, warning, configure, caplog, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: AVX2, raising=False)
    warn_of_slow_options(configure(option), processor)
    assert (warning in caplog.text) if warning else not caplog.text


def test_a_cpu_with_bfloat16_is_not_warned_of(configure, caplog, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: AMX, raising=False)
    warn_of_slow_options(configure("trainer.precision=bf16-mixed"), "cpu")
    assert not caplog.text


def test_a_torch_that_does_not_know_the_cpu_warns_of_nothing(configure, caplog, monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    warn_of_slow_options(configure("trainer.precision=bf16-mixed"), "cpu")
    assert not caplog.text


def test_compiling_is_no_part_of_a_runs_name(configure):
    assert Run.of(configure("compile=true")).name == Run.of(configure()).name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_compiled_run_has_the_scores_of_an_eager_one(configure):
    compiled, eager = configure("compile=true", "sampler=gamma"), configure("sampler=gamma")
    compiled["output_dir"] += "-compiled"
    assert train(compiled) == pytest.approx(train(eager), rel=1e-3, abs=1e-3)
