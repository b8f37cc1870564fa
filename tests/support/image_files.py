"""Small files in the formats of the datasets that torchvision reads."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import scipy.io

TRAIN, TEST, CLASSES = 200, 100, 10


def images(count: int, *shape: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random images of bytes [count, *shape], and labels that name every class."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count) % CLASSES


def write_idx(path: Path, values: np.ndarray) -> None:
    """An array of bytes as Yann LeCun's idx file."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def write_idx_pairs(folder: Path, prefixes: tuple[str, str], first_class: int = 0) -> None:
    """The four files of an MNIST-like dataset."""
    for seed, (prefix, count) in enumerate(zip(prefixes, (TRAIN, TEST), strict=True)):
        pixels, labels = images(count, 28, 28, seed=seed)
        write_idx(folder / f"{prefix}-images-idx3-ubyte", pixels)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels + first_class)


def write_svhn(root: Path) -> None:
    """SVHN's two Matlab files, where the digit 0 has the label 10."""
    for seed, (name, count) in enumerate((("train", TRAIN), ("test", TEST))):
        pixels, labels = images(count, 32, 32, 3, seed=seed)
        content = {"X": pixels.transpose(1, 2, 3, 0), "y": np.where(labels == 0, 10, labels)[:, None]}
        scipy.io.savemat(root / f"{name}_32x32.mat", content)


def write_cifar10(root: Path) -> None:
    """CIFAR-10's pickled batches."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    batches = [(f"data_batch_{number}", TRAIN // 5) for number in range(1, 6)] + [("test_batch", TEST)]
    for seed, (name, count) in enumerate(batches):
        pixels, labels = images(count, 3 * 32 * 32, seed=seed)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels.tolist()}))
    names = {"label_names": [str(number) for number in range(CLASSES)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))


def write_all(root: Path) -> None:
    """Files of every dataset besides MNIST and Fashion-MNIST."""
    write_idx_pairs(root / "KMNIST" / "raw", ("train", "t10k"))
    for split, first_class in (("balanced", 0), ("letters", 1)):
        write_idx_pairs(root / "EMNIST" / "raw", (f"emnist-{split}-train", f"emnist-{split}-test"), first_class)
    write_svhn(root)
    write_cifar10(root)
