"""Every option of every group composes, builds and trains, on images and on vectors."""

from __future__ import annotations

import itertools

import pytest
import torch
import yaml

from tests.support.composing import QUICK, cases, composed, options
from tests.support.covering import covering, pairs
from tests.support.device import OPENED_ON, TORCH_DEVICE
from tests.support.needs import POSITIVE, TOGETHER
from tests.support.outcomes import assert_scores_agree
from tests.support.slowly import rest_slow
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.base.command.configuration import config_folder
from vae_hydra.runs import build
from vae_hydra.runs.build import build_experiment, build_noise, build_vae
from vae_hydra.runs.devices import check_devices
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train

# Training of two steps, then scores of sixteen examples.
TWO_STEPS = ("trainer.max_epochs=1", "+trainer.limit_train_batches=2", "+trainer.limit_val_batches=1")
BRIEF = (*TWO_STEPS, "+trainer.limit_test_batches=1", "dataset.eval_batch_size=16")
ON_DISK = ("mnist", "mnist_exp", "fashion_mnist")
# Datasets whose files the tests write.
WRITTEN = ("kmnist", "emnist", "svhn", "cifar10", "celeba")
LOGGING = ("logger", "callbacks", "trainer")
# Trainers of several processes, of devices that this machine may lack, and a logger of an extra with tests of its own.
ELSEWHERE = ("trainer=gpu", "trainer=mps", "trainer=ddp", "logger=mlflow", "logger=trackio")
# Options that take the first latent as a radius > 0, and samplers of such latents.
RADIAL = ("mlp_radial", "radius_angle")
POSITIVE_SAMPLERS = ("lognormal", "inverse_gaussian", "gamma", "weibull", "beta", "kumaraswamy", "radius_angle")


# Parts of the model, whose options are combined below, and groups that do not depend on one another.
COMBINED = {group: options(group) for group in ("model", "sampler", "prior", "likelihood", "condition", "classifier")}
INDEPENDENT = ("noise", "beta", "optimizer", "scheduler", "logger", "callbacks", "trainer")


def assert_takes_a_step(config: dict) -> None:
    """A step of training on sixteen examples: losses and gradients are finite, and the encoder has learnt something."""
    module, data = build_experiment(config)
    batch = data.prepared("train", 16)
    module.to(TORCH_DEVICE, torch.float64 if config["trainer"]["precision"] == "64-true" else torch.float32)
    x, y = batch.x.to(TORCH_DEVICE), batch.y.to(TORCH_DEVICE)
    terms, output = module._step(module.noise(x), x, 0.5, y)
    assert output.z.shape == (16, config["model"]["latent_dim"])
    assert all(value.isfinite().all() for value in terms.values()), terms
    terms["loss"].mean().backward()
    gradients = [parameter.grad for parameter in module.vae.encoder.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


SIZES = {"lognormal_2d": 2, "inverse_gaussian_2d": 2, "student_t_mixture": 1, "table": 3}
SIZES |= dict.fromkeys(("pareto", "generalised_pareto", "alpha_stable", "student_t_correlated", "copula"), 2)
SIZES |= dict.fromkeys(("svhn", "cifar10"), 3 * 32**2) | dict.fromkeys(("celeba", "image_folder"), 3 * 64**2)


def example_size(config: dict) -> int:
    """The number of values in an example."""
    dataset = config["dataset"]
    side = dataset["resize"] or (8 if dataset["name"] == "digits" else 28)
    return dataset.get("dimensions") or SIZES.get(dataset["name"], side * side)


# A preset of each published system; test_presets_build_their_model_without_their_data has all.
EXPERIMENTS = {case.split("/")[0]: case for case in cases("experiment")}.values()


@pytest.mark.parametrize(
    "case", rest_slow(cases("dataset", "experiment", "objective"), {*cases("dataset", "objective"), *EXPERIMENTS})
)
def test_option_trains_and_its_scores_agree(case, configure, request):
    overrides = [case, *TOGETHER.get(case, ()), *BRIEF]
    if configure(case)["dataset"]["name"] in ON_DISK:
        root = request.getfixturevalue("mnist_root")
        overrides += [f"dataset.root={root}", "dataset.fraction=0.02", "dataset.batch_size=16"]
    if case.removeprefix("dataset=") in WRITTEN:
        overrides += [f"dataset.root={request.getfixturevalue('image_files')}", "dataset.batch_size=16"]
    if case in ("dataset=table", "experiment=tails/table"):
        overrides.append(f"dataset.path={request.getfixturevalue('table_file')}")
    if case == "dataset=image_folder":
        overrides += [f"dataset.path={request.getfixturevalue('picture_folder')}", "dataset.batch_size=16"]
    config = configure(*overrides)
    assert_scores_agree(train(config), example_size(config))


BESIDE_ONE_ANOTHER = [
    [case for case in row if case]
    for row in itertools.zip_longest(*([c for c in cases(group) if c not in ELSEWHERE] for group in INDEPENDENT))
]


@pytest.mark.parametrize("row", BESIDE_ONE_ANOTHER, ids=" ".join)
def test_options_of_independent_groups_train_together(row, configure):
    assert_scores_agree(train(configure(*row, *BRIEF)), 64)


ON_VECTORS = [c for c in cases("sampler", "noise", "likelihood", "condition", "classifier") if "bernoulli" not in c]


@pytest.mark.parametrize("case", [*ON_VECTORS, "model=mlp", "model=mlp_tapered model.latent_dim=2"])
def test_option_takes_a_step_on_vectors(case, configure):
    assert_takes_a_step(configure("dataset=lognormal_2d", *case.split(), *TOGETHER.get(case, ())))


@pytest.mark.parametrize("case", [c for c in cases("likelihood") if "bernoulli" in c])
def test_bernoulli_trains_on_rescaled_vectors(case, configure):
    assert_scores_agree(train(configure("dataset=lognormal_2d", "dataset.variant=rescaled", case, *BRIEF)), 2)


@pytest.mark.parametrize(
    "options",
    [
        ("dataset.fold=1", "dataset.folds=3", "dataset.fraction=0.5"),
        ("dataset.resize=[12,16]", "model=conv"),
        ("dataset.binarise=static", "likelihood=bernoulli", "callbacks.figures.enabled=true"),
        ("dataset=student_t_mixture", "dataset.dimensions=2", "dataset.train_size=1000"),
        ("dataset=inverse_gaussian_2d", "dataset.transform=log1p", "callbacks.figures.enabled=true"),
        ("dataset=student_t_mixture", "callbacks.figures.enabled=true"),
    ],
)
def test_options_of_the_data_train_and_are_scored_again(options, configure):
    config = configure(*options, *TWO_STEPS)
    metrics = train(config)
    scored = evaluate(configure(f"run={Run.of(config).folder}", OPENED_ON, name="evaluate"))
    assert scored == metrics


@pytest.mark.parametrize("case", cases("sampler", "model"))
def test_stacked_noise_with_every_sampler_and_every_model(case, configure):
    assert_takes_a_step(configure(case, *TOGETHER.get(case, ()), "noise=normal", "noise.mode=stacked"))


def test_scores_agree_under_stacked_noise(configure):
    assert_scores_agree(train(configure("noise=normal", "noise.mode=stacked", *BRIEF)), 64)


def refusal(chosen: dict[str, str]) -> str | None:
    """Part of the message for options, group → option, that exclude each other; None for others."""
    prior, sampler = chosen.get("prior", "standard"), chosen.get("sampler")
    has_condition = chosen.get("condition", "none") != "none"
    if has_condition and chosen.get("classifier", "none") != "none":
        return "classifier and condition exclude each other"
    if has_condition and prior == "vamp":
        return "prior=vamp encodes pseudo-inputs without a class"
    if prior != "standard" and sampler == "deterministic":
        return "is trained by the KL, which a deterministic sampler lacks"
    if prior not in ("standard", "vamp") and sampler == "von_mises_fisher":
        return "has no density on the sphere"
    if prior in ("learned", "mixture") and sampler == "kumaraswamy":
        return "the bounds of Uniform cannot be trained"
    if {chosen.get("model"), chosen.get("likelihood")} & set(RADIAL) and sampler not in (None, *POSITIVE_SAMPLERS):
        return "takes the first latent as a radius > 0"
    return None


ROWS_AT_ONCE = 60
TOGETHER_ROWS = covering(COMBINED, lambda chosen: refusal(chosen) is None)
REFUSED_PAIRS = [pair for pair in pairs(COMBINED) if refusal(pair) is not None]


@pytest.fixture(scope="module")
def digits():
    data = build.build_data(composed(*QUICK)), build.build_data(composed(*QUICK, "dataset.transform=exp"))
    return {likelihood: data[likelihood in POSITIVE] for likelihood in options("likelihood")}


@pytest.fixture
def digits_are_built_once(digits, monkeypatch):
    monkeypatch.setattr(build, "build_data", lambda config: digits[config["likelihood"]["name"]])


@pytest.fixture(scope="module")
def combined():
    """A configuration of chosen options of six groups, by its parts: combined({"sampler": "gamma", …})."""
    # To choose from six groups at once takes as long as to choose from one.
    rows = [dict(zip(COMBINED, row, strict=True)) for row in itertools.zip_longest(*COMBINED.values())]
    configs = [composed(*(f"{group}={option}" for group, option in row.items() if option)) for row in rows]
    nodes = {(group, row[group]): config[group] for row, config in zip(rows, configs, strict=True) for group in row}
    base = composed("output_dir=unused", "test_noises=null")

    def config_of(chosen: dict[str, str]) -> dict:
        config = {**base, **{item[0]: nodes[item] for item in chosen.items()}}
        if config["sampler"]["name"] != "deterministic":
            config["objective"] = {**base["objective"], "free_bits": 0.1}
        return config

    return config_of


def test_every_two_options_that_fit_are_in_a_row():
    found = {frozenset(pair) for row in TOGETHER_ROWS for pair in itertools.combinations(row.items(), 2)}
    refused = {frozenset(pair.items()) for pair in REFUSED_PAIRS}
    assert found == {frozenset(pair.items()) for pair in pairs(COMBINED)} - refused
    assert all(row.keys() == COMBINED.keys() for row in TOGETHER_ROWS)


@pytest.mark.usefixtures("digits_are_built_once")
@pytest.mark.parametrize(
    "row",
    # Each row has been chosen to contain the most pairs that those before it lack.
    [
        row if place < ROWS_AT_ONCE else pytest.param(row, marks=pytest.mark.slow)
        for place, row in enumerate(TOGETHER_ROWS)
    ],
    ids=lambda row: "-".join(row.values()),
)
def test_every_two_options_go_together(row, combined):
    """A model takes a training step on images; every two options that fit are in one of the rows."""
    assert_takes_a_step(combined(row))


def rows_with_every_option() -> list[dict[str, str]]:
    """Few of the rows, in which every option is."""
    left, rows = {item for row in TOGETHER_ROWS for item in row.items()}, []
    # A heavy radius is too much for the decoder of another model, if not in the first step then in the second.
    usable = [row for row in TOGETHER_ROWS if row["model"] == "mlp_radial" or row["likelihood"] != "radius_angle"]
    while left:
        rows.append(max(usable, key=lambda row: len(left & row.items())))
        left -= rows[-1].items()
    return rows


@pytest.mark.parametrize("row", rows_with_every_option(), ids=lambda row: "-".join(row.values()))
def test_every_part_of_a_model_trains_and_its_scores_agree(row, configure):
    positive = ["dataset.transform=exp"] if row["likelihood"] in POSITIVE else []
    config = configure(*(f"{group}={option}" for group, option in row.items()), *positive, *BRIEF)
    assert_scores_agree(train(config), 64)


@pytest.mark.usefixtures("digits_are_built_once")
@pytest.mark.parametrize("pair", REFUSED_PAIRS, ids=lambda pair: "-".join(pair.values()))
def test_options_that_exclude_each_other_are_refused(pair, combined):
    with pytest.raises(ValueError, match=refusal(pair)):
        build_experiment(combined(pair))


def test_noise_from_any_torch_distribution(configure):
    gamma = "noise.distribution={_target_:torch.distributions.Gamma,concentration:2.0,rate:4.0}"
    scores = train(configure("noise=none", gamma, "noise.name=gamma", *BRIEF))
    assert "denoise/gamma/mse_per_pixel" in scores
    assert_scores_agree(scores, 64)


def test_prior_of_another_family_and_several_loggers(configure):
    prior = "sampler.prior={_target_:torch.distributions.Laplace,loc:0.0,scale:1.0}"
    assert_scores_agree(train(configure(prior, "sampler.kl=monte_carlo", "logger=[csv,tensorboard]", *BRIEF)), 64)


@pytest.mark.parametrize("experiment", options("experiment"))
def test_presets_build_their_model_without_their_data(experiment, configure):
    config = configure(f"experiment={experiment}")
    vectors = {"lognormal_2d": (2,), "inverse_gaussian_2d": (2,), "student_t_mixture": (1,)}
    side = config["dataset"]["resize"] or 28
    shape = vectors.get(config["dataset"]["name"], (1, side, side))
    vae = build_vae(config, shape, build_noise(config), classes=10)
    x, y = torch.rand(3, *shape), torch.tensor([0, 1, 9])
    output = vae(x, y)
    assert output.z.shape == (3, config["model"]["latent_dim"])
    assert vae.log_likelihood(output, x).shape == (3,)


@pytest.mark.parametrize("path", sorted(config_folder().rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_is_short_and_every_option_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    yaml.safe_load(text)
    assert len(text.splitlines()) <= 60
    if path.parent != config_folder():
        assert next(line for line in text.splitlines() if not line.startswith("# @package")).startswith("# ")


@pytest.mark.parametrize("sampler", options("sampler"))
def test_a_single_latent(sampler, configure):
    if sampler in ("von_mises_fisher", "radius_angle"):
        with pytest.raises(ValueError, match=f"sampler={sampler} must be an integer ≥ 2"):
            build_experiment(configure(f"sampler={sampler}", "model.latent_dim=1"))
        return
    assert_takes_a_step(configure(f"sampler={sampler}", "model.latent_dim=1"))


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_other_precisions(precision, configure):
    options = (f"trainer.precision={precision}", "sampler=inverse_gaussian", "noise=uniform")
    config = configure(*options, "callbacks.figures.enabled=true", *TWO_STEPS)
    metrics = train(config)
    assert metrics["denoise/uniform/elbo"] < 0
    scored = evaluate(configure(f"run={Run.of(config).folder}", OPENED_ON, name="evaluate"))
    # Mixed precision is a matter of training; what is scored again is scored in full.
    assert scored == (metrics if precision == "64-true" else pytest.approx(metrics, rel=0.05))


@pytest.mark.parametrize(
    "options",
    [
        ("+trainer.accumulate_grad_batches=2",),
        ("+trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3"),
        ("trainer.gradient_clip_val=1.0",),
        ("trainer.deterministic=true",),
        ("likelihood.learn_scale=true", "likelihood=laplace"),
        ("likelihood.learn_scale=predicted", "dataset=lognormal_2d"),
    ],
)
def test_options_of_the_trainer_and_more(options, configure):
    config = configure(*BRIEF, *options)
    assert_scores_agree(train(config), example_size(config))


@pytest.mark.parametrize(
    "options",
    [
        ("likelihood.learn_scale=per_pixel", "likelihood=huber"),
        ("likelihood.learn_scale=predicted", "likelihood=student_t"),
        ("likelihood.learn_scale=predicted", "model=conv"),
        ("sampler=student_t", "sampler.learn_df=true"),
        ("objective.free_bits=0.5",),
    ],
)
def test_options_of_parts_take_a_step(options, configure):
    assert_takes_a_step(configure(*options))


@pytest.mark.parametrize(
    ("accelerator", "available"), [("gpu", "torch.cuda.is_available"), ("mps", "torch.backends.mps.is_available")]
)
def test_a_missing_device_is_named(accelerator, available, configure, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    config = configure("debug=one_step")
    config["trainer"] = {**config["trainer"], **composed(f"trainer={accelerator}")["trainer"]}
    with pytest.raises(
        ValueError, match=rf"trainer.accelerator={accelerator} needs .*{available}.*trainer.accelerator=cpu"
    ):
        train(config)
    assert not Run.of(config).folder.exists()


def test_more_devices_than_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="trainer.devices=4, but this machine has 2; use trainer.devices=2"):
        check_devices({"accelerator": "gpu", "devices": 4})
    check_devices({"accelerator": "gpu", "devices": 2})
    check_devices({"accelerator": "cpu", "devices": 4})


def test_two_processes_are_two_devices_of_one_strategy():
    trainer = composed("trainer=ddp")["trainer"]
    assert (trainer["devices"], trainer["strategy"], trainer["accelerator"]) == (2, "ddp", "auto")


def test_presets_are_the_published_recipe(configure):
    config = configure("experiment=heavy_tailed/mnist", "sampler=inverse_gaussian", "trainer.max_epochs=100")
    recipe = {"kl_reduction": "mean", "normalise": True, "free_bits": 0.0}
    assert config["objective"] == {**recipe, "name": "elbo", "_target_": "vae_hydra.training.objective.ELBO"}
    assert config["model"]["encoder"]["widths"] == [300, 300]
    assert config["model"]["decoder"]["widths"] == [300, 300, 300]
    assert config["sampler"]["positive"] == "elu_plus_one"
    assert (config["optimizer"]["lr"], config["dataset"]["batch_size"], config["beta"]["value"]) == (3e-4, 512, 0.01)
    assert configure("experiment=heavy_tailed/mnist")["objective"]["kl_reduction"] == "sum"
    plane = configure("experiment=heavy_tailed/lognormal_2d")
    assert (plane["model"]["encoder"]["init"], plane["model"]["decoder"]["init"]) == ("normal", "glorot_uniform")
    assert plane["model"]["encoder"]["init_std"] == 0.01
    assert (plane["dataset"]["name"], plane["model"]["latent_dim"]) == ("lognormal_2d", 2)
