"""Labels given to the model, and labels that it predicts."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import cross_entropy

from tests.support.slowly import rest_slow
from vae_hydra import load
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.model.condition import Condition
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.history import read_epochs
from vae_hydra.training.metrics import accuracy, labelled_cross_entropy


@pytest.mark.parametrize(("encoding", "width"), [("one_hot", 4), ("scalar", 1)])
@pytest.mark.parametrize(("shape", "event"), [((2, 5, 6), 3), ((7,), 1)])
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_labels_stand_beside_the_input(encoding, width, shape, event, lead):
    condition = Condition(4, encoding)
    x, y = torch.rand(*lead, *shape), torch.randint(4, lead)
    given = condition.beside_input(x, y, event)
    assert given.shape == (*lead, *condition.input_shape(shape))
    assert condition.input_shape(shape)[0] == shape[0] + width
    assert torch.equal(given.narrow(-event, 0, shape[0]), x)
    code = given.narrow(-event, shape[0], width).flatten(-event + 1)[..., 0] if event == 3 else given[..., shape[0] :]
    assert torch.equal(code, condition(y))


def test_codes_of_known_and_unknown_labels():
    y = torch.tensor([0, 2, -1])
    assert Condition(3, "one_hot")(y).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert Condition(3, "scalar")(y).tolist() == [[0], [1], [-1]]


@pytest.mark.parametrize("encoding", ["one_hot", "scalar"])
def test_who_is_given_the_label(encoding, configure):
    x, y, other = torch.rand(5, 1, 8, 8), torch.zeros(5, dtype=torch.long), torch.full((5,), 7)
    z = torch.randn(5, 10)
    both = build_experiment(configure("condition=both", f"condition.encoding={encoding}")).module.vae
    encoder = build_experiment(configure("condition=encoder", f"condition.encoding={encoding}")).module.vae
    for vae in (both, encoder):
        assert not torch.equal(vae.encode(x, y).mean, vae.encode(x, other).mean)
        with pytest.raises(ValueError, match="encode needs y"):
            vae.encode(x)
    assert not torch.equal(both.decode(z, y).mean, both.decode(z, other).mean)
    assert torch.equal(encoder.decode(z, y).mean, encoder.decode(z).mean)
    with pytest.raises(ValueError, match="decode needs y"):
        both.decode(z)
    assert both.sample(6).shape == encoder.sample(6).shape == (6, 1, 8, 8)
    assert both.sample(6, torch.tensor(3)).shape == (6, 1, 8, 8)
    # Several draws for each of a batch of labels, as importance sampling makes them.
    assert both.decode(torch.randn(4, 5, 10), y).batch_shape == (4, 5, 1, 8, 8)


def test_a_conditional_model_generates_the_class_it_is_asked_for(configure):
    config = configure("condition=both", "trainer.max_epochs=15", "optimizer.lr=3e-3", "model.latent_dim=4")
    train(config)
    data = build_experiment(config).data
    real = data.prepared("train")
    judge = LogisticRegression(max_iter=300).fit(real.x.flatten(1).numpy(), real.y.numpy())
    y = torch.arange(10).repeat(20)
    with torch.no_grad():
        images = load(Run.of(config).folder).sample(200, y)
    assert judge.score(images.flatten(1).numpy(), y.numpy()) > 0.9


def test_cross_entropy_is_torchs_over_the_labelled():
    logits, y = torch.randn(50, 7), torch.randint(-1, 7, (50,))
    labelled = (y >= 0).float().mean().item()
    ours = labelled_cross_entropy(logits, y, labelled)
    torch.testing.assert_close(ours.mean(), cross_entropy(logits, y, ignore_index=-1))
    assert not ours[y < 0].any()


def test_what_few_labels_weigh_does_not_depend_on_the_batches_they_fall_into():
    logits, y = torch.randn(1000, 7), torch.where(torch.rand(1000) < 0.02, torch.randint(7, (1000,)), -1)
    share = (y >= 0).float().mean().item()
    for size in (1000, 50, 10):
        batches = zip(logits.split(size), y.split(size), strict=True)
        means = torch.stack([labelled_cross_entropy(*batch, share).mean() for batch in batches])
        torch.testing.assert_close(means.mean(), cross_entropy(logits, y, ignore_index=-1))


def test_accuracy_counts_the_greatest_logit():
    logits = torch.tensor([[0.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    assert accuracy(logits, torch.tensor([1, 1, 1])).tolist() == [1, 0, 1]


def test_the_loss_has_the_heads_cross_entropy_at_its_weight(configure):
    module, data = build_experiment(configure("classifier=mlp", "classifier.weight=3.0"))
    batch = data.prepared("train", 20)
    terms, output = module._step(batch.x, batch.x, 1.0, batch.y)
    head = cross_entropy(module.vae.classify(output.z), batch.y)
    elbo = terms["log_likelihood"] - terms["kl_per_latent"].sum(-1)
    torch.testing.assert_close(terms["loss"].mean(), 3 * head - elbo.mean())


SOME = ("normal", "lognormal", "student_t", "inverse_gaussian", "deterministic")


@pytest.mark.parametrize("sampler", rest_slow(SOME, at_once=["inverse_gaussian"]))
def test_the_head_learns_the_digits(sampler, configure):
    options = ("classifier=mlp", "classifier.weight=20", f"sampler={sampler}", "trainer.max_epochs=15")
    metrics = train(configure(*options, "optimizer.lr=3e-3"))
    assert metrics["reconstruct/clean/accuracy"] > 0.85
    assert metrics["reconstruct/clean/cross_entropy"] < 2.3


@pytest.mark.parametrize("labelled", [0.1, 0.001])
def test_training_and_its_validation_see_few_labels(labelled, configure):
    config = configure("classifier=mlp", f"classifier.labelled={labelled}", "trainer.max_epochs=1", "optimizer.lr=1e-9")
    data = build_experiment(config).data
    few = max(labelled, 10 / 1294) + 0.03
    assert (data.served.y >= 0).float().mean() < few
    assert all((part.y >= 0).all() for part in data.splits.values())
    metrics = train(config)
    # Untrained, the head guesses: ln 10 whatever the share of labels, and also where each class keeps its only one.
    rows = read_epochs(Run.of(config).folder / "metrics.csv")
    every = (rows[0]["train/cross_entropy"], rows[0]["val/cross_entropy"], metrics["reconstruct/clean/cross_entropy"])
    for value in every:
        assert value == pytest.approx(2.303, rel=0.15)


def test_validation_is_blind_to_hidden_labels(configure):
    """Another label where labels are hidden changes nothing that is chosen by validation."""
    rows = []
    for shift in (0, 3):
        experiment = build_experiment(configure("classifier=mlp", "classifier.labelled=0.05"))
        data, module = experiment.data, experiment.module.eval()
        (x, y), hidden = next(iter(data.val_dataloader())), data.splits["validation"].y
        seen = y >= 0
        hidden[~seen] = (hidden[~seen] + shift) % 10
        module.validation_step((data.prepare(x), next(iter(data.val_dataloader()))[1]), 0)
        rows.append(module.validation_means.compute())
        logits = module.vae.classify(module.vae.sampler.code(module.vae(data.prepare(x)).q))
        right = accuracy(logits[seen], y[seen]).mean()
        torch.testing.assert_close(rows[-1]["accuracy"], right)
    assert 0 < seen.sum() < 20 < len(y)
    torch.testing.assert_close(rows[0], rows[1], rtol=0, atol=0)


def test_accuracy_of_the_labelled_is_their_mean():
    logits, y = torch.randn(500, 3), torch.where(torch.rand(500) < 0.1, torch.randint(3, (500,)), -1)
    share = (y >= 0).float().mean().item()
    torch.testing.assert_close(accuracy(logits, y, share).mean(), accuracy(logits[y >= 0], y[y >= 0]).mean())


@pytest.mark.parametrize("labels", ["condition=both", "classifier=mlp"])
def test_models_with_labels_survive_reloading(labels, configure):
    config = configure(labels, "noise=uniform", "callbacks.figures.enabled=true")
    train(config)
    run = Run.of(config)
    vae = load(run.folder)
    if labels == "classifier=mlp":
        assert vae.classify(torch.randn(3, 10)).shape == (3, 10)
        assert (run.folder / "figures" / "latent_plane.png").is_file()
    else:
        assert vae.sample(2, torch.tensor([0, 1])).shape == vae.sample(2, 1).shape == (2, 1, 8, 8)
        with pytest.raises(ValueError, match="labels must be from 0 to 9, but got 12"):
            vae.sample(4, 12)
        # Codes that were given the class have none to show.
        assert not (run.folder / "figures" / "latent_plane.png").exists()


def test_codes_that_were_given_the_class_are_not_probed_for_it(configure):
    config = configure("condition=encoder", "trainer.max_epochs=1")
    train(config)
    with pytest.raises(ValueError, match="latents: this run's encoder is given the class"):
        evaluate(configure(f"run={Run.of(config).folder}", "latents=true", name="evaluate"))


def test_a_model_without_a_head_does_not_classify(configure):
    with pytest.raises(ValueError, match="no head that classifies; train one with classifier=mlp"):
        build_experiment(configure()).module.vae.classify(torch.randn(2, 10))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Condition(1), "condition needs data with two classes or more, but these have 1; use condition=none"),
        (lambda: Condition(3, "embedding"), "condition.encoding must be one of one_hot, scalar, but got 'embedding'"),
        (lambda: Condition(3, decoder="yes"), "condition.decoder must be true or false, but got 'yes'"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
