"""A small convolutional classifier of images, whose features say how alike two samples of them are."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from vae_hydra.base import checks
from vae_hydra.base.files import check_writable, write_bytes, write_json
from vae_hydra.base.system_errors import explained
from vae_hydra.data.datamodule import DataModule
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import identity
from vae_hydra.training.module import VAEModule

WIDTHS = (16, 32, 64)
FEATURES = 64
# Sides below this are not halved any further.
LEAST_SIDE = 8
# Images with larger sides are halved by the first convolution: the time goes with the pixels.
LARGE_SIDE = 32
# Images that are looked at together.
BATCH = 1000


class ImageClassifier(nn.Module):
    """Images [N, C, H, W] → logits [N, classes], by way of 64 features.

    Three times convolution (the first in strides of 2 where the side is above 32), batch norm, ReLU and, while the side
    is at least 8, a maximum over 2×2; means over 4×4 regions; a layer of 64 features, standardised over the
    training images, and a ReLU; a linear layer of logits.

    Args:
        x_shape: [C, H, W], whatever they are.
        classes: number of classes.
        value_range: least and greatest value of the training data, as x has them; they are taken to 0 and 1.
    """

    low: Tensor
    high: Tensor

    def __init__(self, x_shape: Sequence[int], classes: int, value_range: tuple[float, float]) -> None:
        super().__init__()
        for name, value in zip(("low", "high"), value_range, strict=True):
            self.register_buffer(name, torch.tensor(value))
        channels, side = x_shape[0], min(x_shape[1:])
        layers: list[nn.Module] = []
        for width in WIDTHS:
            stride = 2 if side > LARGE_SIDE and not layers else 1
            convolution = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
            channels, side = width, side // stride
            if side >= LEAST_SIDE:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * channels, FEATURES)]
        # Distances of features then have a scale of their own, however long the network was trained.
        layers += [nn.BatchNorm1d(FEATURES, affine=False), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """What comes before the last layer: [N, 64]."""
        return self.layers((x - self.low) / (self.high - self.low))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def features_of(classifier: ImageClassifier, x: Tensor) -> Tensor:
    """Features [N, 64] of images [N, C, H, W] in the range of the data, on the CPU."""
    return _in_batches(classifier, classifier.features, x)


def labels_of(classifier: ImageClassifier, x: Tensor) -> Tensor:
    """The class [N] that each of the images [N, C, H, W], in the range of the data, looks most like, on the CPU."""
    return _in_batches(classifier, lambda batch: classifier(batch).argmax(-1), x)


@torch.no_grad()
def _in_batches(classifier: ImageClassifier, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.cat([function(batch.to(classifier.low)).cpu() for batch in x.split(BATCH)])


# All that its weights are made by, besides the data: what changes here makes another classifier.
RECIPE: dict[str, Any] = {
    "widths": list(WIDTHS),
    "features": FEATURES,
    "steps": 1200,
    "batch_size": 128,
    "lr": 0.005,
    "weight_decay": 0.01,
    "seed": 0,
}


def can_be_recognised(data: DataModule) -> bool:
    """Whether the examples are images of two classes or more."""
    return len(data.x_shape) == 3 and data.classes >= 2


def train_classifier(data: DataModule, device: torch.device) -> ImageClassifier:
    """A classifier of the training images as the model sees them, and of all their labels, ready to use.

    Adam with a learning rate that rises and falls once over 1,200 batches of 128 images, drawn with replacement: as
    long for a small dataset as for a large one. A function of the data alone, on a CPU to the bit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(RECIPE["seed"])
        classifier = ImageClassifier(data.x_shape, data.classes, data.value_range()).to(device)
    steps, generator = RECIPE["steps"], torch.Generator().manual_seed(RECIPE["seed"])
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=RECIPE["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE["lr"], total_steps=steps)
    images = data.splits["train"]
    for _ in tqdm(range(steps), desc="classifier", unit="batch", disable=None):
        batch = images[torch.randint(len(images), (RECIPE["batch_size"],), generator=generator)]
        loss = cross_entropy(classifier(data.prepare(batch.x).to(device)), batch.y.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return classifier.eval()


def classifier_accuracy(classifier: ImageClassifier, data: DataModule, split: str = "test") -> float:
    """Share of the examples of a split whose class is found."""
    examples = data.prepared(split)
    return (labels_of(classifier, examples.x) == examples.y).double().mean().item()


log = logging.getLogger(__name__)

# Where the images are, and how many of them are served at a time, does not change what is learnt from them.
NOT_LEARNT = ("root", "download", "batch_size", "eval_batch_size")


class KeptClassifier(NamedTuple):
    """A classifier ready to use, its name ``<dataset>-<hash>``, and the record that is kept beside its weights.

    The record holds ``dataset`` and ``recipe``, which the hash is of, ``test_accuracy``, ``sha256`` of the weights'
    file, and ``seconds`` of training.
    """

    model: ImageClassifier
    name: str
    record: dict[str, Any]


def beside(run: Run, module: VAEModule, data: DataModule, output: str | None = None) -> KeptClassifier:
    """The classifier of a run's images, kept in ``classifiers/`` beside the run; else as ``load_or_train``.

    ``output`` is the folder that the user named, beside which it is kept if the place of the run is read-only.
    """
    spare = None if output is None else _classifiers_beside(Path(output).expanduser())
    return load_or_train(module.description["config"], data, _classifiers_beside(run.folder), module.device, spare)


def _classifiers_beside(folder: Path) -> Path:
    return folder.resolve().parent / "classifiers"


def load_or_train(
    config: Mapping[str, Any], data: DataModule, folder: Path, device: torch.device, spare: Path | None = None
) -> KeptClassifier:
    """The classifier of the images of ``config.dataset``, from ``folder`` or else trained and put there.

    It is the same one for every run on these data, whatever the model, noise, seed and order of the batches. Of
    several processes that ask for it at once, one trains it and the others wait. A file that is damaged is replaced.

    Args:
        config: resolved configuration of a run.
        data: its data.
        folder: for classifiers, made if there is none.
        device: where it is to be.
        spare: takes the place of ``folder`` if that has no such classifier and cannot be written.

    Raises:
        ValueError: if neither folder can be written, or the dataset has no name that a file could have.
    """
    described = {"dataset": _learnt(config["dataset"]), "recipe": RECIPE}
    # The name may come from someone else's checkpoint.
    name = f"{checks.plain_name('dataset.name', config['dataset'].get('name'))}-{identity(described)}"
    try:
        kept = _load(folder / name, data)
        if kept is None:
            place = folder if spare is None or _is_writable(folder) else spare
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(place / f".{name}.lock"):
                kept = _load(place / name, data) or _train(place / name, data, described, device)
    except OSError as error:
        raise ValueError(
            f"the classifier of these images cannot be kept: {explained(error, 'output') or error}, or do without it "
            "(generation.features=false, recognise=false)"
        ) from error
    return KeptClassifier(kept.model.to(device), name, kept.record)


def _is_writable(folder: Path) -> bool:
    try:
        check_writable(folder)
    except OSError:
        return False
    return True


def _learnt(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a dataset that say what its training images are."""
    kept = {key: value for key, value in dataset.items() if key not in NOT_LEARNT}
    return {**kept, "source": {key: value for key, value in dataset["source"].items() if key not in NOT_LEARNT}}


def _load(path: Path, data: DataModule) -> KeptClassifier | None:
    """What was kept under a path without its endings; None where there is nothing, or nothing whole."""
    weights, notes = path.with_name(f"{path.name}.pt"), path.with_name(f"{path.name}.json")
    if not (weights.is_file() and notes.is_file()):
        return None
    try:
        record, content = json.loads(notes.read_text(encoding="utf-8")), weights.read_bytes()
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise ValueError("it is not the file that was written")
        model = ImageClassifier(data.x_shape, data.classes, data.value_range())
        model.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
        record["test_accuracy"] = float(record["test_accuracy"])
    except OSError:
        raise
    except Exception as error:
        log.warning("%s is damaged (%s) and trained again", weights, error)
        return None
    return KeptClassifier(model.eval(), path.name, record)


def _train(path: Path, data: DataModule, described: Mapping[str, Any], device: torch.device) -> KeptClassifier:
    log.info("training a classifier of these images, once: %s", path)
    start = time.perf_counter()
    model = train_classifier(data, device)
    seconds = time.perf_counter() - start
    content = io.BytesIO()
    torch.save({key: value.cpu() for key, value in model.state_dict().items()}, content)
    record = {
        **described,
        "test_accuracy": classifier_accuracy(model, data),
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        "seconds": seconds,
    }
    write_bytes(path.with_name(f"{path.name}.pt"), content.getvalue())
    write_json(path.with_name(f"{path.name}.json"), record)
    return KeptClassifier(model, path.name, record)
