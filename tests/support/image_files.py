"""Small files in the formats of the datasets that torchvision reads."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

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


def write_celeba(root: Path, counts: tuple[int, int, int] = (40, 10, 16)) -> np.ndarray:
    """CelebA's images of 178×218 in its three splits, one after the other, and its lists; return the attribute Male."""
    folder, total = root / "celeba", sum(counts)
    (folder / "img_align_celeba").mkdir(parents=True)
    generator = np.random.default_rng(0)
    names = [f"{number:06}.jpg" for number in range(1, total + 1)]
    for name in names:
        pixels = generator.integers(0, 256, (218, 178, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name, quality=95)
    values = generator.choice([-1, 1], (total, 2))
    values[:2, 1] = -1, 1
    rows = [f"{name}  {smiling} {male}" for name, (smiling, male) in zip(names, values, strict=True)]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(total), "Smiling Male ", *rows, ""]))
    parts = np.repeat([0, 1, 2], counts)
    rows = [f"{name} {part}" for name, part in zip(names, parts, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join([*rows, ""]))
    return values[:, 1] == 1


def write_pictures(folder: Path, count: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Images of bytes [H, W] or [H, W, 3] as 000.png, 001.png, …; return them, [count, *shape]."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, _ = images(count, *shape, seed=seed)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
    return pixels


def write_all(root: Path) -> None:
    """Files of every dataset besides MNIST and Fashion-MNIST."""
    write_idx_pairs(root / "KMNIST" / "raw", ("train", "t10k"))
    for split, first_class in (("balanced", 0), ("letters", 1)):
        write_idx_pairs(root / "EMNIST" / "raw", (f"emnist-{split}-train", f"emnist-{split}-test"), first_class)
    write_svhn(root)
    write_cifar10(root)
    write_celeba(root)
