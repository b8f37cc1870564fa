"""A small convolutional classifier of images, whose features say how alike two samples of them are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

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
