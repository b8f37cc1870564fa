"""A small convolutional classifier of a dataset's images: the network, its training, and its file beside the runs.

FID and KID compare its features. Its labels count generated images by class.
"""

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

log = logging.getLogger(__name__)

WIDTHS = (16, 32, 64)
FEATURES = 64
# Smaller sides are not halved any further.
LEAST_SIDE = 8
# The first convolution halves larger sides, because the time grows with the number of pixels.
LARGE_SIDE = 32
# Images classified at once.
BATCH = 1000
# Besides the data, everything that decides the weights: any change makes another classifier.
RECIPE: dict[str, Any] = {
    "widths": list(WIDTHS),
    "features": FEATURES,
    "steps": 1200,
    "batch_size": 128,
    "lr": 0.005,
    "weight_decay": 0.01,
    "seed": 0,
}
# Options of a dataset that do not change its training images.
NOT_LEARNT = ("root", "download", "cache", "in_memory", "batch_size", "eval_batch_size")


class ImageClassifier(nn.Module):
    """Images [N, C, H, W] → logits [N, classes], by way of 64 features.

    Three blocks of convolution (the first with stride 2 if the side is above 32), batch norm, ReLU and, while the side
    is at least 8, a maximum over 2×2; then a mean down to 4×4; a layer of 64 features, standardised over the training
    images, and a ReLU; a linear layer of logits.

    Args:
        x_shape: [C, H, W], of any sizes.
        classes: number of classes.
        value_range: least and greatest value of the training data; the network maps them to 0 and 1.
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
        # Standardised, distances of features do not depend on how long the network was trained.
        layers += [nn.BatchNorm1d(FEATURES, affine=False), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """Input of the last layer, [N, 64]."""
        return self.layers((x - self.low) / (self.high - self.low))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def features_of(classifier: ImageClassifier, x: Tensor) -> Tensor:
    """Features [N, 64] of images [N, C, H, W] in the range of the data, on the CPU."""
    return _in_batches(classifier, classifier.features, x)


def labels_of(classifier: ImageClassifier, x: Tensor) -> Tensor:
    """Most likely class [N] of images [N, C, H, W] in the range of the data, on the CPU."""
    return _in_batches(classifier, lambda batch: classifier(batch).argmax(-1), x)


@torch.no_grad()
def _in_batches(classifier: ImageClassifier, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.cat([function(batch.to(classifier.low)).cpu() for batch in x.split(BATCH)])


def can_be_recognised(data: DataModule) -> bool:
    """Whether the examples are images of two classes or more."""
    return len(data.x_shape) == 3 and data.classes >= 2


def train_classifier(data: DataModule, device: torch.device) -> ImageClassifier:
    """A classifier trained on the prepared training images and all their labels, without outliers, in evaluation mode.

    AdamW with a one-cycle learning rate over 1,200 batches of 128 images, drawn with replacement, whatever the size of
    the dataset. It depends on the data alone; on a CPU to the bit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(RECIPE["seed"])
        classifier = ImageClassifier(data.x_shape, data.classes, data.value_range()).to(device)
    steps, generator = RECIPE["steps"], torch.Generator().manual_seed(RECIPE["seed"])
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=RECIPE["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE["lr"], total_steps=steps)
    images = data.splits["train"]
    # Outliers have the label −1.
    images = images[(images.y >= 0).nonzero()[:, 0]] if int(images.y.min()) < 0 else images
    for _ in tqdm(range(steps), desc="classifier", unit="batch", disable=None):
        batch = images[torch.randint(len(images), (RECIPE["batch_size"],), generator=generator)]
        loss = cross_entropy(classifier(data.prepare(batch.x).to(device)), batch.y.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return classifier.eval()


def classifier_accuracy(classifier: ImageClassifier, data: DataModule, split: str = "test") -> float:
    """Share of a split's examples that are classified correctly."""
    examples = data.prepared(split)
    return (labels_of(classifier, examples.x) == examples.y).double().mean().item()


class KeptClassifier(NamedTuple):
    """A classifier in evaluation mode, its name ``<dataset>-<hash>``, and the record beside its weights.

    The record holds ``dataset`` and ``recipe``, which make the hash, ``test_accuracy``, ``seconds`` of training, and
    ``sha256`` of the weights' file.
    """

    model: ImageClassifier
    name: str
    record: dict[str, Any]


def classifier_of_run(run: Run, module: VAEModule, data: DataModule, output: str | None = None) -> KeptClassifier:
    """The classifier of a run's images, kept in ``classifiers/`` beside the run; see ``load_or_train``.

    If that place is read-only, it is kept beside ``output``, the folder that the user named.
    """
    spare = None if output is None else _classifiers_beside(Path(output).expanduser())
    return load_or_train(module.description["config"], data, _classifiers_beside(run.folder), module.device, spare)


def _classifiers_beside(folder: Path) -> Path:
    return folder.resolve().parent / "classifiers"


def load_or_train(
    config: Mapping[str, Any], data: DataModule, folder: Path, device: torch.device, spare: Path | None = None
) -> KeptClassifier:
    """The classifier of the images of ``config.dataset``, read from ``folder``, or trained and written there.

    All runs on these data share it, whatever their model, noise, seed and order of batches. If several processes need
    it at once, one trains it and the others wait. A damaged file is replaced.

    Args:
        config: resolved configuration of a run.
        data: its data.
        folder: for classifiers; created if missing.
        device: of the returned model.
        spare: used instead if ``folder`` lacks the classifier and cannot be written.

    Raises:
        ValueError: if neither folder can be written, or the dataset's name cannot name a file.
    """
    description = {"dataset": _learnt(config["dataset"]), "recipe": RECIPE}
    # The name may come from someone else's checkpoint.
    name = f"{checks.plain_name('dataset.name', config['dataset'].get('name'))}-{identity(description)}"
    try:
        kept = _load(folder / name, data)
        if kept is None:
            place = folder if spare is None or _is_writable(folder) else spare
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(place / f".{name}.lock"):
                kept = _load(place / name, data) or _train(place / name, data, description, device)
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
    """The options of a dataset that decide its training images."""
    kept = {key: value for key, value in dataset.items() if key not in NOT_LEARNT}
    return {**kept, "source": {key: value for key, value in dataset["source"].items() if key not in NOT_LEARNT}}


def _load(path: Path, data: DataModule) -> KeptClassifier | None:
    """The classifier in ``path``.pt with its record in ``path``.json; None if one is missing or damaged."""
    weights, notes = path.with_name(f"{path.name}.pt"), path.with_name(f"{path.name}.json")
    if not (weights.is_file() and notes.is_file()):
        return None
    try:
        record, content = json.loads(notes.read_text(encoding="utf-8")), weights.read_bytes()
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise ValueError("its SHA-256 is not the one in its record")
        model = ImageClassifier(data.x_shape, data.classes, data.value_range())
        model.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
        record["test_accuracy"] = float(record["test_accuracy"])
    except OSError:
        raise
    except Exception as error:
        log.warning("%s is damaged (%s) and trained again", weights, error)
        return None
    return KeptClassifier(model.eval(), path.name, record)


def _train(path: Path, data: DataModule, description: Mapping[str, Any], device: torch.device) -> KeptClassifier:
    """Train a classifier and write it to ``path``.pt and ``path``.json."""
    log.info("training a classifier of these images, once: %s", path)
    start = time.perf_counter()
    model = train_classifier(data, device)
    seconds = time.perf_counter() - start
    content = io.BytesIO()
    torch.save({key: value.cpu() for key, value in model.state_dict().items()}, content)
    record = {
        **description,
        "test_accuracy": classifier_accuracy(model, data),
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        "seconds": seconds,
    }
    write_bytes(path.with_name(f"{path.name}.pt"), content.getvalue())
    write_json(path.with_name(f"{path.name}.json"), record)
    return KeptClassifier(model, path.name, record)
