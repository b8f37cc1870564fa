"""Combinations of options that are put together are those that Hydra composes."""

from __future__ import annotations

import itertools
import random

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from tests.support.composing import CONF, cases
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.resolve import without_hydra
from vae_hydra.studies.sweep.assembly import Assembler

GROUPS = ("model", "sampler", "prior", "dataset", "noise", "likelihood", "condition", "scheduler", "trainer", "logger")
BESIDE = (
    ("+trainer.limit_val_batches=2",),
    ("sampler.prior={_target_:torch.distributions.Laplace,loc:0.0,scale:1.0}",),
    ("~test_noises.uniform", "dataset.batch_size=7"),
    ("experiment=pythae/mlp",),
    ("experiment=heavy_tailed/mnist", "threads=1"),
    ("logger=[csv,wandb]",),
)


def composed(overrides):
    return without_hydra(compose("train", list(overrides), return_hydra_config=True))


def as_text(composed):
    # As text, because 1 and 1.0 are equal, and the order of options counts in a run's config.yaml.
    config, choices = composed
    return repr(OmegaConf.to_container(config, resolve=False)), choices


@pytest.fixture
def assemble():
    """``Assembler``, with the overrides that it left to Hydra."""
    left_to_hydra = []

    def by_hydra(overrides):
        left_to_hydra.append(list(overrides))
        return composed(overrides)

    with initialized(CONF):
        assembler = Assembler(by_hydra, GlobalHydra.instance().config_loader())
        yield lambda overrides: assembler(overrides), left_to_hydra


@pytest.mark.parametrize("beside", [(), ("experiment=tails/pareto", "threads=1")], ids=" ".join)
def test_a_grid_takes_a_configuration_for_each_option(beside, assemble):
    assembled, left_to_hydra = assemble
    samplers, noises = (
        ("sampler=normal", "sampler=student_t", "sampler=flow", "sampler=deterministic"),
        ("noise=none", "noise=normal"),
    )
    grid = [(*beside, *cell) for cell in itertools.product(samplers, noises, ("dataset=digits", "dataset=mnist_exp"))]
    configs = [assembled(cell) for cell in grid]
    assert len(left_to_hydra) == 4 + 2 + 2 - 2
    for cell, config in list(zip(grid, configs, strict=True))[::5]:
        assert as_text(config) == as_text(composed(cell))


def test_any_choice_is_the_one_of_hydra(assemble):
    assembled, left_to_hydra = assemble
    picked = random.Random(0)
    count = 40
    for turn in range(count):
        some = {case.split("=")[0]: case for case in picked.sample(cases(*GROUPS), picked.randint(0, 4))}
        beside = picked.choice(BESIDE) if turn % 4 == 0 else ()
        overrides = [*some.values(), *(one for one in beside if one.split("=")[0] not in some)]
        found = assembled(overrides)
        if overrides not in left_to_hydra:
            assert as_text(found) == as_text(composed(overrides)), overrides
    assert count - len(left_to_hydra) > 5


def test_a_change_of_a_configuration_stays_there(assemble):
    assembled, _ = assemble
    for sampler in ("normal", "gamma", "gamma"):
        config, choices = assembled([f"sampler={sampler}", "noise=uniform"])
        config.sampler.name = config.noise.name = choices["noise"] = "changed"
    found = assembled(["sampler=normal"]), assembled(["sampler=gamma", "noise=uniform"])
    assert [(c.sampler.name, c.noise.name, chosen["noise"]) for c, chosen in found] == [
        ("normal", "none", "none"),
        ("gamma", "uniform", "uniform"),
    ]


def test_options_that_reach_beyond_their_group_are_left_to_hydra(assemble, tmp_path):
    assembled, left_to_hydra = assemble
    for path, text in {
        "sampler/everywhere.yaml": "# @package _global_\nsampler:\n  name: everywhere\nseed: 5\n",
        "sampler/built.yaml": "defaults:\n  - everywhere\n  - _self_\ndf: 3.0\n",
        "sampler/with_noise.yaml": "defaults:\n  - gamma\n  - /noise@hidden: uniform\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    found = f"hydra.searchpath=[file://{tmp_path}]"
    for sampler, noise in itertools.product(("everywhere", "built", "with_noise", "normal"), ("none", "uniform")):
        cell = [found, f"sampler={sampler}", f"noise={noise}"]
        assert as_text(assembled(cell)) == as_text(composed(cell))
    assert assembled([found, "sampler=everywhere"])[0].seed == 5
    assert assembled([found, "sampler=normal"])[0].seed == 0
    assert len(left_to_hydra) >= 6


def test_an_option_that_does_not_exist_is_refused_whatever_was_known(assemble):
    assembled, _ = assemble
    assembled(["sampler=gamma"])
    with pytest.raises(ConfigCompositionException, match="cauchi"):
        assembled(["sampler=cauchi"])
