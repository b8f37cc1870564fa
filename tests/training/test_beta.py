"""β schedules at their ends, in between, and their refusals."""

from __future__ import annotations

import pytest

from vae_hydra.runs.nodes import make
from vae_hydra.training.beta import SHAPES, Constant, Cyclical, Ramp


def test_constant():
    assert [Constant(0.3)(t) for t in (0, 5, 1000)] == [0.3] * 3
    assert Constant(0.0).final == 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_ramps_run_from_start_to_end_and_stay(shape):
    ramp = Ramp(0.2, 1.2, duration=10, shape=shape)
    values = [ramp(t) for t in range(15)]
    assert values[0] == pytest.approx(0.2)
    assert values[5] == pytest.approx(0.7)
    assert values[10:] == pytest.approx([1.2] * 5)
    assert values == sorted(values)
    assert ramp.final == 1.2


def test_shapes_differ_as_their_formulas_do():
    quarter = {shape: Ramp(duration=4, shape=shape)(1) for shape in SHAPES}
    assert quarter["linear"] == 0.25
    assert quarter["cosine"] == pytest.approx(0.1464466)
    assert quarter["sigmoid"] < quarter["cosine"]


def test_ramps_can_fall():
    assert Ramp(1.0, 0.0, duration=4)(3) == pytest.approx(0.25)


def test_cycles_rise_and_hold():
    beta = Cyclical(0.0, 1.0, duration=4, rise=0.5)
    assert [beta(t) for t in range(9)] == pytest.approx([0, 0.5, 1, 1, 0, 0.5, 1, 1, 0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epochs", [1, 2, 19, 20, 21, 50])
def test_ramps_and_cycles_end_in_the_last_epoch(epochs, shape):
    for beta in (Ramp(0.2, 1.2, duration=20, shape=shape), Cyclical(0.2, 1.2, duration=20, shape=shape)):
        beta.last = epochs - 1
        values = [beta(t) for t in range(epochs)]
        assert values[-1] == pytest.approx(1.2)
        assert values[0] == pytest.approx(0.2 if epochs > 1 else 1.2)


@pytest.mark.parametrize(
    ("duration", "epochs", "is_said"),
    [(20, 20, False), (20, 30, False), (20, 19, True), (100, 20, True), (20, 1, False)],
)
def test_a_ramp_that_is_shortened_by_more_than_its_last_epoch_is_said(duration, epochs, is_said):
    ramp = Ramp(duration=duration)
    ramp.last = epochs - 1
    assert bool(ramp.remark()) == is_said
    assert Cyclical(duration=duration).remark() is None
    assert Constant().remark() is None


def test_published_annealing_takes_twenty_epochs(configure):
    config = configure("experiment=lyckantropen/mse", "trainer.max_epochs=1000")
    beta = make("beta", config["beta"])
    beta.last = config["trainer"]["max_epochs"] - 1
    start, end = config["beta"]["start"], config["beta"]["end"]
    assert [beta(0), beta(10), beta(20), beta(999)] == pytest.approx([start, (start + end) / 2, end, end])


def test_training_that_is_longer_than_a_ramp_leaves_it_as_it_is():
    ramp, long = Ramp(duration=20), Ramp(duration=20)
    long.last = 20
    assert [long(t) for t in range(21)] == [ramp(t) for t in range(21)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1), "beta.value must be a number ≥ 0, but got -1"),
        (lambda: Constant("high"), "beta.value must be a number ≥ 0, but got 'high'"),
        (lambda: Constant(float("nan")), "beta.value"),
        (lambda: Ramp(start=-0.1), "beta.start"),
        (lambda: Ramp(duration=0), "beta.duration must be a number > 0"),
        (lambda: Ramp(unit="batch"), "beta.unit must be one of step, epoch, but got 'batch'"),
        (lambda: Ramp(shape="square"), "beta.shape must be one of linear, cosine, sigmoid"),
        (lambda: Cyclical(rise=1.5), r"beta.rise must be a number in \(0, 1\]"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
