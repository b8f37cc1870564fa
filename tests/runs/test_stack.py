"""Runs that are trained together leave what each would leave alone, and do not depend on one another."""

from __future__ import annotations

import gc
import json
import signal
import weakref

import numpy as np
import pytest
import scipy.stats
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import vae_hydra
from tests.support.slowly import rest_slow
from vae_hydra.runs import stack
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.checkpoint import read_checkpoint
from vae_hydra.runs.folder import Run
from vae_hydra.runs.stack import train_together
from vae_hydra.runs.train import train
from vae_hydra.studies.sweep.stacks import shape_of
from vae_hydra.training.callbacks import Interrupted
from vae_hydra.training.history import read_epochs
from vae_hydra.training.shared_noise import shared_noises
from vae_hydra.training.stack import Stack

SMALL = ("dataset.fraction=0.2", "test_noises=null", "model.encoder.widths=[16]", "model.decoder.widths=[16]")
# What the two runs of a stack differ in.
FIRST = ("seed=0", "noise=none", "beta=linear")
SECOND = ("seed=1", "noise=normal", "optimizer.lr=3e-3", "likelihood.scale=0.2")
KINDS = {
    **{sampler: (f"sampler={sampler}", *SMALL) for sampler in ("gamma", "inverse_gaussian", "laplace", "lognormal")},
    **{sampler: (f"sampler={sampler}", *SMALL) for sampler in ("normal", "weibull", "deterministic")},
    "student_t with its degrees of freedom": ("sampler=student_t", "sampler.learn_df=true", *SMALL),
    "convolutions": ("model=conv", "model.channels=[4,4]", "model.activation=prelu", *SMALL[:2]),
    "residual blocks": ("model=conv", "model.channels=[4]", "model.residual_blocks=1", *SMALL[:2]),
    "labels": ("condition=both", *SMALL),
    "a head and few labels": ("classifier=mlp", "classifier.labelled=0.5", *SMALL),
    "pixels drawn anew": ("dataset.binarise=dynamic", *SMALL),
    "a learned scale": ("likelihood=laplace", "likelihood.learn_scale=per_pixel", *SMALL),
    "a plateau and clipped gradients": ("scheduler=plateau", "trainer.gradient_clip_val=0.5", *SMALL),
    "steps of β, AdamW": ("beta.unit=step", "optimizer=adamw", "scheduler=cosine", *SMALL),
    **{
        f"{likelihood}, all learned": (
            *("dataset=pareto", "dataset.train_size=400", "dataset.test_size=100", "dataset.batch_size=50"),
            *(f"likelihood={likelihood}", *SMALL[1:], *options),
        )
        for likelihood, options in {
            "lognormal": ("likelihood.learn_scale=predicted",),
            "gamma": ("likelihood.learn_concentration=per_pixel",),
            "student_t": ("likelihood.learn_df=true", "likelihood.learn_scale=predicted", "likelihood.scale=1.0"),
            "generalised_pareto": ("likelihood.learn_shape=predicted",),
        }.items()
    },
    "vectors": ("dataset=lognormal_2d", "dataset.fraction=0.01", "dataset.batch_size=50", *SMALL[1:]),
    "β-divergence": ("objective=beta_divergence", *SMALL),
    "t³VAE": ("objective=gamma_power", "sampler=multivariate_t", "likelihood=multivariate_t", *SMALL),
    "radius and angle": (
        *("dataset=lognormal_2d", "dataset.fraction=0.01", "dataset.batch_size=50", *SMALL[1:]),
        *("model=mlp_radial", "sampler=radius_angle", "likelihood=radius_angle"),
    ),
    "no validation": ("dataset.validation=0", *SMALL),
    "a learned prior": ("prior=learned", *SMALL),
    "a learned prior of vectors": ("prior=learned", "sampler=multivariate_t", *SMALL),
    "a mixture": ("prior=mixture", "sampler=gamma", *SMALL),
    "a mixture of vectors": ("prior=mixture", "sampler=multivariate_t", *SMALL),
    "VampPrior": ("prior=vamp", "prior.components=7", *SMALL),
    "VampPrior of convolutions": ("prior=vamp", "prior.components=7", "model=conv", "model.channels=[4]", *SMALL[:2]),
    "VampPrior of Student's t": ("prior=vamp", "prior.components=7", "sampler=student_t", *SMALL),
    "VampPrior on a sphere": ("prior=vamp", "prior.components=7", "sampler=von_mises_fisher", *SMALL),
    "IWAE": ("objective=iwae", "objective.draws=5", *SMALL),
    "DReG of labels": ("objective=dreg", "objective.draws=5", "condition=both", *SMALL),
    "MIWAE of convolutions": ("objective=miwae", "objective.draws=3", "model=conv", "model.channels=[4]", *SMALL[:2]),
    "CIWAE, biased gradients": (
        *("objective=ciwae", "objective.draws=3", "sampler=inverse_gaussian", "sampler.gradient=pathwise", *SMALL),
    ),
    "IWAE on a sphere, learned scales": (
        *("objective=iwae", "objective.draws=3", "sampler=von_mises_fisher"),
        *("likelihood.learn_scale=per_pixel", *SMALL),
    ),
    "DReG, a mixture": ("objective=dreg", "objective.draws=3", "sampler=gamma", "prior=mixture", *SMALL),
    "IWAE of vectors": ("objective=iwae", "sampler=multivariate_t", "likelihood=multivariate_t", *SMALL),
    "IWAE, VampPrior": ("objective=iwae", "objective.draws=3", "prior=vamp", "prior.components=7", *SMALL),
    "VampPrior under stacked noise": ("prior=vamp", "prior.components=7", "noise.mode=stacked", *SMALL),
}

AT_ONCE = (
    *("normal", "inverse_gaussian", "gamma", "deterministic", "convolutions", "a head and few labels", "vectors"),
    *("a plateau and clipped gradients", "steps of β, AdamW", "student_t, all learned", "t³VAE"),
    *("a learned prior", "a mixture", "VampPrior", "DReG of labels", "MIWAE of convolutions"),
)


@pytest.fixture
def both(configure, tmp_path):
    """Configurations of two runs, twice: both(*overrides) → (to be trained together, to be trained alone)."""

    def make(*overrides: str) -> tuple[list[dict], list[dict]]:
        members = [[*overrides, *FIRST], [*overrides, *SECOND]]
        if any("beta.unit" in override for override in overrides):
            members = [[one for one in member if one != "beta=linear"] for member in members]
            members = [["beta=linear", *member] for member in members]
        if any(o.startswith("likelihood=") for o in overrides):
            members[1].remove("likelihood.scale=0.2")
        together, alone = (
            [configure(*member, f"output_dir={tmp_path / place}") for member in members]
            for place in ("together", "alone")
        )
        return together, alone

    return make


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {k: v for k, v in read_checkpoint(run.folder / "last.ckpt")["state_dict"].items() if k.startswith("vae.")}


@pytest.mark.parametrize("kind", rest_slow(KINDS, at_once=AT_ONCE))
def test_runs_come_out_of_a_stack_as_if_each_had_been_trained_alone(kind, both):
    together, alone = both(*KINDS[kind])
    train_together(together)
    for one, other in zip(together, alone, strict=True):
        train(other)
        stacked, single = Run.of(one), Run.of(other)
        assert stacked.name == single.name
        assert stacked.record["status"] == "done"
        assert (stacked.record["stacked"], single.record.get("stacked")) == (2, None)
        assert sorted(p.name for p in stacked.folder.iterdir()) == sorted(p.name for p in single.folder.iterdir())
        for name, value in weights(single).items():
            torch.testing.assert_close(weights(stacked)[name], value, rtol=1e-3, atol=1e-4)
        assert stacked.metrics == pytest.approx(single.metrics, rel=1e-3, abs=1e-4)
        assert list(stacked.metrics) == list(single.metrics)
        rows, expected = (read_epochs(run.folder / "metrics.csv") for run in (stacked, single))
        for row, wanted in zip(rows, expected, strict=True):
            assert row.keys() == wanted.keys()
            timed = {"train/seconds_per_epoch"}
            assert {k: row[k] for k in row.keys() - timed} == pytest.approx(
                {k: wanted[k] for k in wanted.keys() - timed}, rel=1e-3, abs=1e-4
            )


@pytest.mark.parametrize(
    ("likelihood", "first", "second"),
    [
        ("gamma", ("likelihood.concentration=0.5",), ("likelihood.concentration=3.0",)),
        (
            "student_t",
            ("likelihood.df=3.0", "likelihood.learn_df=true"),
            ("likelihood.df=9.0", "likelihood.learn_df=true"),
        ),
        (
            "generalised_pareto",
            ("likelihood.shape=0.1", "likelihood.threshold=1.0", "likelihood.learn_shape=false"),
            ("likelihood.shape=0.6", "likelihood.threshold=3.0", "likelihood.learn_shape=false"),
        ),
    ],
)
def test_runs_of_a_stack_keep_their_own_parameters_of_the_likelihood(likelihood, first, second, configure, tmp_path):
    common = ("dataset=pareto", "dataset.train_size=200", "dataset.test_size=50", "dataset.batch_size=50", *SMALL[1:])
    together, alone = (
        [
            configure(*common, f"likelihood={likelihood}", *own, f"output_dir={tmp_path / place}")
            for own in (first, second)
        ]
        for place in ("together", "alone")
    )
    assert shape_of(together[0]) == shape_of(together[1])
    train_together(together)
    for one, other in zip(together, alone, strict=True):
        train(other)
        assert Run.of(one).record["stacked"] == 2
        assert Run.of(one).metrics == pytest.approx(Run.of(other).metrics, rel=1e-3, abs=1e-4)


def test_a_checkpoint_of_a_stack_is_lightnings(both):
    together, alone = both(*SMALL, "callbacks=early_stopping", "scheduler=plateau")
    train_together(together)
    train(alone[0])
    ours, lightnings = (read_checkpoint(Run.of(c).folder / "last.ckpt") for c in (together[0], alone[0]))
    assert ours.keys() == lightnings.keys()
    for key in ("epoch", "global_step", "pytorch-lightning_version", "loops"):
        assert ours[key] == lightnings[key]
    assert ours["callbacks"].keys() == lightnings["callbacks"].keys()
    assert ours["state_dict"].keys() == lightnings["state_dict"].keys()
    states = [one["optimizer_states"][0] for one in (ours, lightnings)]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    for number, values in states[1]["state"].items():
        for name, value in values.items():
            torch.testing.assert_close(states[0]["state"][number][name], value, rtol=1e-2, atol=1e-4)
    assert ours["lr_schedulers"][0].keys() == lightnings["lr_schedulers"][0].keys()


@pytest.mark.parametrize("finish", [train, lambda config: train_together([config])], ids=["alone", "in a stack"])
def test_a_run_that_began_in_a_stack_goes_on(both, finish):
    together, alone = both(*SMALL)
    shorter = [{**config, "trainer": {**config["trainer"], "max_epochs": 1}} for config in together]
    stacked = stack._opened(stack._built(shorter))
    stack._Training(stacked, stack.InterruptGuard())._epoch()
    for member, config in zip(stacked, together, strict=True):
        member.close(Interrupted(signal.SIGTERM))
        folder = Run.of(config).folder
        folder.parent.mkdir(exist_ok=True)
        member.run.folder.rename(folder)
    for config in together:
        finish(config)
    for one, other in zip(together, alone, strict=True):
        train(other)
        assert Run.of(one).metrics.keys() == Run.of(other).metrics.keys()
        assert len(read_epochs(Run.of(one).folder / "metrics.csv")) == 2


SGD = ("optimizer._target_=torch.optim.SGD", "~optimizer.betas", "~optimizer.eps", "optimizer.fused=false")


@pytest.mark.parametrize(
    "options",
    [
        (),
        # Parameters that are single numbers where a run is alone.
        ("likelihood=student_t", "likelihood.learn_scale=true", "likelihood.learn_df=true"),
        ("optimizer._target_=torch.optim.NAdam", "~optimizer.fused"),
        # Nothing to remember.
        SGD,
        (*SGD, "+optimizer.momentum=0.9"),
    ],
    ids=["", "single numbers", "NAdam", "SGD", "momentum"],
)
def test_a_stack_that_was_cut_off_ends_as_one_that_was_not(options, both, monkeypatch):
    together, alone = both(*SMALL, "trainer.max_epochs=3", *options)
    original = Stack.train_epoch

    def cut_off(self, between_batches):
        if self.epoch == 2:
            raise Interrupted(signal.SIGTERM)
        return original(self, between_batches)

    with monkeypatch.context() as patch:
        patch.setattr(Stack, "train_epoch", cut_off)
        with pytest.raises(Interrupted):
            train_together(together)
    assert [Run.of(c).record["status"] for c in together] == ["interrupted"] * 2
    train_together(together)
    train_together(alone)
    for one, other in zip(together, alone, strict=True):
        assert Run.of(one).metrics == Run.of(other).metrics
        for name, value in weights(Run.of(other)).items():
            assert torch.equal(weights(Run.of(one))[name], value)


@pytest.mark.parametrize("every", [3, 100])
def test_the_best_epoch_is_one_of_the_epochs_with_checkpoints(every, both):
    options = (f"callbacks.checkpoints.every_n_epochs={every}", "trainer.max_epochs=5", "optimizer.lr=0.1")
    together, alone = both(*SMALL, *options)
    train_together(together)
    for one, other in zip(together, alone, strict=True):
        train(other)
        epochs = [read_checkpoint(Run.of(config).folder / "best.ckpt")["epoch"] for config in (one, other)]
        assert epochs[0] == epochs[1]
        assert epochs[0] in (2, 4)


def test_a_validation_loss_that_is_no_number_is_no_improvement(configure):
    (member,) = stack._built([configure(*SMALL)])
    losses = (5.0, 4.0, float("nan"), 6.0, 3.0)
    found = [member.improves(epoch, False, {"val/loss": loss}, True) for epoch, loss in enumerate(losses)]
    assert found == [True, True, False, False, True]


def test_the_state_of_a_run_that_is_kept_does_not_age(configure):
    runs = stack._stack(stack._built([configure(*SMALL)]))
    runs.train_epoch()
    state = runs.optimizer.state(0)["state"]
    kept = {number: {key: value.clone() for key, value in values.items()} for number, values in state.items()}
    runs.train_epoch()
    assert kept[0].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert all(torch.equal(value, state[number][key]) for number in kept for key, value in kept[number].items())


@pytest.mark.parametrize("options", [(), ("likelihood.learn_scale=true",), SGD], ids=["", "learn_scale", "SGD"])
def test_a_run_whose_loss_is_not_finite_fails_and_the_others_do_not_notice(options, configure, tmp_path):
    options = (*SMALL, *options)
    good = [configure(*options, f"seed={s}", f"output_dir={tmp_path / 'a'}") for s in (0, 1)]
    poison = configure(*options, "seed=2", "optimizer.lr=1e30", f"output_dir={tmp_path / 'a'}")
    train_together([good[0], poison, good[1]])
    record = Run.of(poison).record
    assert record["status"] == "failed"
    assert "the training loss of epoch 0 is nan" in record["error"]
    assert not (Run.of(poison).folder / "last.ckpt").exists()
    harmless = [configure(*options, f"seed={s}", f"output_dir={tmp_path / 'b'}") for s in (0, 1)]
    third = configure(*options, "seed=2", "optimizer.lr=1e-4", f"output_dir={tmp_path / 'b'}")
    train_together([harmless[0], third, harmless[1]])
    for one, other in zip(good, harmless, strict=True):
        assert Run.of(one).metrics == pytest.approx(Run.of(other).metrics, rel=1e-4)


def test_a_run_that_stops_early_stops_alone(configure, tmp_path):
    options = (*SMALL, "callbacks=early_stopping", "callbacks.early_stopping.patience=1", "trainer.max_epochs=4")
    early = configure(*options, "optimizer.lr=1e-12", "callbacks.early_stopping.min_delta=0.1", "seed=0")
    late = configure(*options, "callbacks.early_stopping.min_delta=0.1", "seed=1")
    train_together([early, late])
    assert len(read_epochs(Run.of(early).folder / "metrics.csv")) == 2
    assert len(read_epochs(Run.of(late).folder / "metrics.csv")) == 4
    assert Run.of(early).is_done
    assert Run.of(late).is_done


def test_a_run_that_cannot_be_built_leaves_its_error(configure):
    good, bad = configure(*SMALL), configure(*SMALL, "seed=1", "likelihood.scale=-1")
    train_together([good, bad])
    assert Run.of(good).is_done
    assert Run.of(bad).record["status"] == "failed"
    assert "likelihood.scale" in Run.of(bad).record["error"]


def test_stacked_runs_draw_their_figures_and_are_loaded(configure):
    configs = [configure(*SMALL, f"seed={s}", "callbacks.figures.enabled=true") for s in (0, 1)]
    train_together(configs)
    for config in configs:
        run = Run.of(config)
        assert {"reconstructions.png", "examples.npz"} <= {path.name for path in (run.folder / "figures").iterdir()}
        assert vae_hydra.load(run.folder).sample(2).shape == (2, 1, 8, 8)


def test_each_log_is_about_its_own_run(configure):
    configs = [configure(*SMALL, f"seed={s}") for s in (0, 1)]
    train_together(configs)
    logs = [(Run.of(config).folder / "train.log").read_text() for config in configs]
    assert all("stack    2 runs as one" in text and text.count("test scores") == 1 for text in logs)


def test_a_file_of_cells_trains_those_that_are_not_done(configure, tmp_path):
    configs = [configure(*SMALL, f"seed={s}") for s in (0, 1)]
    train(configs[0])
    before = Run.of(configs[0]).record
    (tmp_path / "cells.json").write_text(json.dumps(configs))
    stack.train_cells(str(tmp_path / "cells.json"))
    assert Run.of(configs[0]).record == before
    assert Run.of(configs[1]).is_done


def test_a_finished_run_is_only_tested_where_scores_are_missing(configure):
    before = [configure(*SMALL, f"seed={s}") for s in (0, 1)]
    train_together(before)
    weights_before = weights(Run.of(before[0]))
    now = [configure(*SMALL[:1], *SMALL[2:], f"seed={s}") for s in (0, 1)]
    assert Run.of(now[0]).untested(now[0])
    train_together(now)
    for config in now:
        assert not Run.of(config).untested(config)
    assert all(torch.equal(value, weights_before[name]) for name, value in weights(Run.of(now[0])).items())


def test_runs_that_stopped_early_stay_stopped_when_they_are_resumed(configure):
    options = (*SMALL, "callbacks=early_stopping", "callbacks.early_stopping.patience=1", "trainer.max_epochs=6")
    configs = [configure(*options, "callbacks.early_stopping.min_delta=1e6", f"seed={s}") for s in (0, 1)]
    members = stack._opened(stack._built(configs))
    training = stack._Training(members, stack.InterruptGuard())
    while training.members:
        training._epoch()
    for member in members:
        member.close(Interrupted(signal.SIGTERM))
    train_together(configs)
    for config in configs:
        assert Run.of(config).is_done
        assert len(read_epochs(Run.of(config).folder / "metrics.csv")) == 2


def test_runs_that_cannot_be_stacked_are_trained_alone(configure, caplog):
    poisson = {"_target_": "torch.distributions.Poisson", "rate": 0.1}
    noise = {"_target_": "vae_hydra.data.noise.Noise", "name": "poisson", "distribution": poisson}
    configs = [{**configure(*SMALL, f"seed={s}"), "noise": noise} for s in (0, 1)]
    train_together(configs)
    assert "not possible, so each of 2 runs is trained alone" in caplog.text
    assert [Run.of(config).record["status"] for config in configs] == ["done", "done"]
    assert ["stacked" in Run.of(config).record for config in configs] == [False, False]


def test_noises_that_differ_in_the_fifth_digit_stay_apart(both):
    together, alone = both(*SMALL)
    for configs in (together, alone):
        for config, scale in zip(configs, (0.123451, 0.123454), strict=True):
            normal = {"_target_": "torch.distributions.Normal", "loc": 0.0, "scale": scale}
            config["noise"] = {"_target_": "vae_hydra.data.noise.Noise", "name": "n", "distribution": normal}
    modules = [build_experiment(config).module for config in together]
    assert [one.runs for one in shared_noises([module.noise for module in modules])] == [[0], [1]]


def test_a_run_that_fails_alone_does_not_stop_the_others(configure):
    good, bad = configure(*SMALL), configure(*SMALL, "seed=1")
    train_together([good])
    Run.of(bad).folder.mkdir()
    (Run.of(bad).folder / "last.ckpt").write_bytes(b"nothing")
    third = configure(*SMALL, "seed=2")
    train_together([bad, third])
    assert Run.of(third).is_done
    assert Run.of(bad).record["status"] == "failed"
    assert "damaged" in Run.of(bad).record["error"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("~callbacks.checkpoints", "callbacks.checkpoints cannot be left out"),
        ("trainer.max_epochs=-1", "trainer.max_epochs must be"),
    ],
)
def test_what_training_alone_refuses_a_stack_refuses(override, message, configure):
    configs = [configure(*SMALL, override, f"seed={s}") for s in (0, 1)]
    train_together(configs)
    for config in configs:
        assert message in Run.of(config).record["error"]


def test_a_stack_of_one_is_the_run(both):
    together, alone = both(*SMALL)
    train_together(together[:1])
    train(alone[0])
    stacked, single = Run.of(together[0]), Run.of(alone[0])
    assert stacked.record["stacked"] == 1
    assert stacked.metrics == pytest.approx(single.metrics, rel=1e-3, abs=1e-4)


def test_a_stack_computes_in_bfloat16_where_its_runs_would(both):
    """bfloat16 has three digits; in full precision the scores differ by a tenth of what is allowed here."""
    together, alone = both(*SMALL, "trainer.precision=bf16-mixed")
    train_together(together)
    for one, other in zip(together, alone, strict=True):
        train(other)
        assert Run.of(one).metrics == pytest.approx(Run.of(other).metrics, rel=0.02, abs=0.02)
        dtypes = {value.dtype for value in weights(Run.of(one)).values()}
        assert dtypes == {torch.float32}


def test_a_stack_is_split_where_memory_does_not_hold_it(configure, monkeypatch, caplog):
    configs = [configure(*SMALL, f"seed={seed}") for seed in range(5)]
    (member,) = stack._built(configs[:1])
    need = stack.memory_of(member)
    # Half of this holds two runs, and not three.
    monkeypatch.setattr(stack, "free_memory", lambda device: 5 * need)
    caplog.set_level("INFO")
    train_together(configs)
    assert "5 runs in 3 parts, because memory holds 2 at a time" in caplog.text
    records = [Run.of(config).record for config in configs]
    assert [record["status"] for record in records] == ["done"] * 5
    assert sorted(record["stacked"] for record in records) == [1, 2, 2, 2, 2]


class LiveBytes(TorchDispatchMode):
    """The bytes of tensors that operations make, while they live, and the most at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage() not in self._known:
                storage = tensor.untyped_storage()
                self._known.add(storage)
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._free, storage.nbytes())
        return result

    def _free(self, size: int) -> None:
        self.now -= size


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("dataset.batch_size=1000", "dataset.eval_batch_size=10"),
        # Images that are large against the network: the measures of the test take most.
        ("dataset.resize=64", "model.encoder.widths=[64]", "model.decoder.widths=[64]"),
        ("dataset.resize=32", "likelihood=student_t", "model.encoder.widths=[64]", "model.decoder.widths=[64]"),
        ("objective=iwae", "objective.draws=16"),
        ("prior=vamp", "prior.components=200"),
        ("prior=vamp", "prior.components=200", "objective=iwae", "objective.draws=4"),
        ("prior=vamp", "prior.components=200", "objective=iwae", "objective.draws=4", "sampler=student_t"),
        ("prior=mixture", "prior.components=200", "sampler=weibull"),
    ],
    ids=" ".join,
)
def test_the_memory_of_a_run_is_estimated_from_above(options, configure):
    """In training and in evaluation, without the weights."""
    (member,) = stack._built([configure("test_noises=null", *options)])
    weights_of_run = sum(p.numel() for p in member.module.vae.parameters())
    estimate = stack.memory_of(member) - 32 * weights_of_run
    runs = stack._stack([member])
    with LiveBytes() as live:
        runs.train_epoch()
        runs.validate()
        runs.test([member.module.vae.state_dict()])
    # What the optimizer and the gradients hold is part of the weights' eight numbers.
    found = live.most - 16 * weights_of_run
    assert found < estimate < 10 * found


def test_a_stack_that_has_ended_leaves_the_memory_at_once(configure, monkeypatch):
    """Python's search for rings of objects may come late, and lack of memory on a GPU does not start it."""
    made, build = [], stack._stack
    monkeypatch.setattr(stack, "_stack", lambda members: made.append(weakref.ref(s := build(members))) or s)
    # One run at a time: two parts, each of which is trained and tested.
    monkeypatch.setattr(stack, "free_memory", lambda device: 2)
    monkeypatch.setattr(stack, "memory_of", lambda member: 1)
    gc.disable()
    try:
        train_together([configure(f"seed={seed}", *SMALL, "trainer.max_epochs=1") for seed in range(2)])
        assert len(made) == 4
        assert not [one for one in made if one() is not None]
    finally:
        gc.enable()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_over_ten_seeds_stacked_and_single_runs_have_the_same_scores(configure, tmp_path):
    """A paired t-test for each score; the first 20 steps agree to float tolerance, later ones only statistically."""
    options = ("trainer.max_epochs=30", "test_noises=null", "noise=normal")
    configs = {
        place: [configure(*options, f"seed={seed}", f"output_dir={tmp_path / place}") for seed in range(10)]
        for place in ("stacked", "single")
    }
    train_together(configs["stacked"])
    for config in configs["single"]:
        train(config)
    scores = {place: [Run.of(config).metrics for config in found] for place, found in configs.items()}
    names = ["reconstruct/clean/half_sse", "reconstruct/clean/elbo", "denoise/normal/half_sse", "reconstruct/clean/kl"]
    columns = {place: np.array([[one[name] for name in names] for one in found]) for place, found in scores.items()}
    pvalues = scipy.stats.ttest_rel(columns["stacked"], columns["single"]).pvalue
    # Bonferroni at 5 %: no score tells them apart.
    assert (pvalues > 0.05 / len(names)).all(), dict(zip(names, pvalues, strict=True))
    # And they do not differ by more than seeds do.
    difference = np.abs(columns["stacked"] - columns["single"]).mean(0)
    assert (difference < columns["single"].std(0)).all()
