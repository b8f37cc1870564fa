"""Composing many runs at once: each configuration equals the one that Hydra composes alone."""

from __future__ import annotations

import itertools
import random

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from omegaconf.errors import InterpolationKeyError

from tests.support import composing
from tests.support.composing import CONF
from vae_hydra.base.command.configuration import plain
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.identity import identity
from vae_hydra.studies.sweep.composition import Composer

# One run each, with values that are copied, computed, lists, null, added, removed, or used by others.
MIXED = [
    (),
    ("sampler=lognormal", "seed=3"),
    ("sampler=lognormal", "seed=4", "optimizer.lr=1e-4"),
    ("seed=007",),
    ("model.activation=tanh", "model.latent_dim=3"),
    ("model.activation=tanh", "model.encoder.activation=relu"),
    ("model.encoder.activation=relu", "model.activation=gelu", "model.init=normal"),
    ("model.encoder.widths=[8,16]", "trainer.gradient_clip_val=null"),
    ("model.encoder.widths=[]", "optimizer.betas=[0.5,0.9]"),
    ("model=conv", "model.channels=[4,8]", "model.kernel=3"),
    ("model=mlp_tapered", "model.depth=2", "model.latent_dim=7"),
    ("scheduler=cosine", "trainer.max_epochs=7"),
    ("scheduler=cosine", "trainer.max_epochs=7", "scheduler.T_max=5"),
    ("threads=1", "output_dir=elsewhere", "optimizer.lr=1", "beta.value=1.0"),
    ("output_dir='a b'", "dataset.fraction=0.5", "dataset.resize=[12,16]", "dataset.fold=2"),
    ("output_dir='C:\\\\runs'",),
    ("dataset=mnist", "dataset.root=/data", "dataset.download=true"),
    ("dataset=mnist", "dataset.root='${oc.env:HOME}'"),
    ("dataset=student_t_mixture", "dataset.dimensions=2", "dataset.df=4"),
    ("experiment=heavy_tailed/mnist", "sampler=inverse_gaussian", "beta.value=0.1"),
    ("experiment=heavy_tailed/mnist", "sampler=lognormal", "published_kl_reduction.lognormal=mean"),
    ("experiment=heavy_tailed/mnist", "sampler=gamma", "+published_kl_reduction.gamma=mean", "seed=2"),
    ("experiment=heavy_tailed/mnist", "sampler.name=lognormal", "seed=2"),
    ("experiment=heavy_tailed/lognormal_2d", "dataset.variant=rescaled"),
    ("experiment=tails/inverse_gaussian_2d", "seed=5"),
    ("experiment=tails/inverse_gaussian_2d", "seed=5", "dataset.seed=1"),
    ("experiment=lyckantropen/bce", "beta.duration=3", "optimizer.lr=0.1"),
    ("~test_noises.uniform", "test_noises.normal.distribution.scale=3"),
    ("~test_noises", "seed=1"),
    ("test_noises=null",),
    ("+noise@test_noises.strong=normal", "test_noises.strong.name=strong", "test_noises.strong.distribution.scale=3"),
    ("noise=normal", "noise.mode=stacked", "noise.distribution.scale=0.3"),
    ("noise.name=gamma", "noise.distribution={_target_:torch.distributions.Gamma,concentration:2.0,rate:4.0}"),
    ("noise=normal", "noise.distribution={scale:0.1}", "noise.distribution.loc=1"),
    ("sampler=student_t", "sampler.df=3", "sampler.learn_df=true"),
    ("~sampler.prior", "+sampler.prior={_target_:vae_hydra.distributions.StudentT,df:4.0,loc:0.0,scale:1.0}"),
    ("sampler.prior.scale=2", "++sampler.prior.scale=3", "seed=1"),
    ("seed=0", "++seed=7"),
    ("+trainer.limit_train_batches=2", "trainer.max_epochs=1"),
    ("++optimizer.weight_decay=0.1", "optimizer.lr=0.5"),
    ("logger=[wandb,tensorboard]", "logger.wandb.offline=false", "dataset.name=renamed"),
    ("callbacks.figures.epochs=[0,10]", "callbacks.figures.show=[default,traversals]"),
    ("classifier=mlp", "classifier.weight=10", "model.activation=gelu"),
    ("init_from=outputs/other", "keep_optimizer=true"),
    ("objective.free_bits=0.5", "objective.kl_reduction=mean"),
    ("model.encoder.init=1.5", "likelihood.scale=.5"),
]


@pytest.fixture
def composer():
    with initialized(CONF):
        loader = GlobalHydra.instance().config_loader()
        yield Composer(
            lambda overrides: compose("train", list(overrides)),
            lambda key: bool(loader.get_group_options(key, results_filter=None)),
        )


def alone(overrides):
    return plain(compose("train", list(overrides)))


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in (1, 2))])
def test_a_mixed_sample_is_composed_as_hydra_composes_each_run(part, composer):
    """All are composed together, and a third of them are compared."""
    for composed in composer.compose(MIXED):
        if composed.number % 3 != part:
            continue
        expected = alone(MIXED[composed.number])
        assert composed.config == expected, MIXED[composed.number]
        assert (composed.error, composed.unknown, tuple(composed.overrides)) == (None, [], MIXED[composed.number])
        # As text too: 1 and 1.0 are equal.
        assert repr(composed.config) == repr(expected)
        assert identity(composed.config) == identity(expected)


@pytest.mark.parametrize("overrides", MIXED[::5], ids=" ".join)
def test_what_tests_compose_is_what_hydra_composes(overrides):
    found = composing.composed(*overrides)
    with initialized(CONF):
        assert repr(found) == repr(alone(overrides))


def test_a_random_grid_is_composed_as_its_runs_are_alone(composer):
    grid = list(
        itertools.product(
            ("model=mlp", "model=conv", "experiment=tails/inverse_gaussian_2d"),
            ("sampler=normal", "sampler=student_t"),
            ("model.activation=tanh", "model.activation=gelu", "model.init_std=0.1"),
            ("optimizer.lr=0.1", "optimizer.betas=[0.5,0.9]", "sampler.prior.scale=2.5"),
            ("scheduler=cosine", "~test_noises.uniform", "dataset.seed=null"),
            ("trainer.max_epochs=3", "trainer.max_epochs=30"),
            ("seed=1", "seed=2"),
        )
    )
    sample = random.Random(0).sample(grid, 10)
    numbers = []
    for composed in composer.compose(sample):
        assert composed.config == alone(sample[composed.number])
        numbers.append(composed.number)
    assert sorted(numbers) == list(range(10))


@pytest.mark.parametrize(
    ("overrides", "unknown"),
    [
        (("sampler.df=3", "seed=1"), ["sampler.df"]),
        (("sampler.df=3", "model.latentdim=3", "seed=1"), ["model.latentdim", "sampler.df"]),
        (("sampler.df={a:1}", "seed=1"), ["sampler.df"]),
        (("experiment=heavy_tailed/mnist", "published_kl_reduction.x=sum", "sampler.name=normal"), None),
        (("nothing=3",), ["nothing"]),
    ],
)
def test_unknown_options_of_a_run_are_left_out_and_reported(overrides, unknown, composer):
    (composed,) = composer.compose([overrides])
    unknown = unknown or ["published_kl_reduction.x"]
    assert sorted(composed.unknown) == unknown
    kept = tuple(o for o in overrides if o.split("=")[0] not in unknown)
    assert tuple(composed.overrides) == kept
    assert composed.config == alone(kept)


def test_an_unresolvable_run_has_an_error_and_others_have_none(composer):
    preset = "experiment=heavy_tailed/mnist"
    bad, good = composer.compose([(preset, "sampler=gamma", "seed=1"), (preset, "seed=1")])
    assert isinstance(bad.error, InterpolationKeyError)
    assert (bad.config, bad.overrides) == ({}, [preset, "sampler=gamma", "seed=1"])
    assert good.error is None


@pytest.mark.parametrize("override", ["sampler=cauchy", "~sampler.df", "+seed=3", "dataset@x=mnist"])
def test_other_errors_of_hydra_are_raised(override, composer):
    with pytest.raises(ConfigCompositionException):
        list(composer.compose([("seed=1",), (override,)]))


def test_groups_are_composed_once_for_all_values(composer, monkeypatch):
    calls = []
    original = composer._compose
    monkeypatch.setattr(composer, "_compose", lambda overrides: calls.append(overrides) or original(overrides))
    runs = [(f"sampler={s}", f"seed={n}", "optimizer.lr=0.1") for n in range(50) for s in ("normal", "gamma")]
    assert len(list(composer.compose(runs))) == 100
    assert len(calls) == 2
