"""A classifier trained on the images of a run, always in the same way."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from vae_hydra.data import DataModule
from vae_hydra.networks.image_classifier import FEATURES, WIDTHS, ImageClassifier, labels_of

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
