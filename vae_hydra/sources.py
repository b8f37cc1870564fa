"""Where examples come from: files, packages, and distributions of heavy-tailed points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vae_hydra import checks
from vae_hydra.distributions import InverseGaussian
from vae_hydra.integrity import check_idx


@dataclass(frozen=True)
class Examples:
    """Examples x [N, *x_shape], uint8, float32 or, where they are binarised, bool, and their class labels y [N].

    Labels are int64 and count from 0; −1 is a label that is kept from the model.
    """

    x: Tensor
    y: Tensor

    def __getitem__(self, index: Tensor) -> Examples:
        return Examples(self.x[index], self.y[index])

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Source:
    """What a dataset function returns.

    Attributes:
        train, test: examples as stored.
        scale: factor that takes stored values to the model's range, e.g. 1/255.
    """

    train: Examples
    test: Examples
    scale: float = 1.0


def load_digits(seed: int) -> Source:
    """The 1,797 8×8 digits inside scikit-learn, a fifth of each class drawn for the test set by ``seed``."""
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    images, labels = load(return_X_y=True)
    x = torch.from_numpy(images.astype(np.uint8)).reshape(-1, 1, 8, 8)
    y = torch.from_numpy(labels.astype(np.int64))
    train, test = train_test_split(np.arange(len(y)), test_size=0.2, stratify=labels, random_state=seed)
    every = Examples(x, y)
    return Source(every[torch.from_numpy(train)], every[torch.from_numpy(test)], scale=1 / 16)


def load_torchvision(dataset: str, root: str, download: bool) -> Source:
    """MNIST or FashionMNIST from ``root``, downloaded there first if asked.

    Raises:
        ValueError: if the files are damaged, or are not there and cannot be downloaded; it says how to get them.
    """
    from torchvision import datasets

    family = getattr(datasets, checks.one_of("dataset.source.dataset", dataset, ("MNIST", "FashionMNIST")))
    folder = Path(root) / dataset / "raw"
    _check_idx_files(folder)
    ours = [path for path in (folder, folder.parent, folder.parent.parent) if not path.exists()]
    try:
        train, test = (family(root, train=is_train, download=download) for is_train in (True, False))
    except (RuntimeError, OSError) as error:
        for path in ours:
            # Empty folders that a download which failed has made.
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        problem = "could not be downloaded" if download else f"was not found under dataset.root={root}"
        remedy = "" if download else "With a network, add dataset.download=true. "
        raise ValueError(
            f"{dataset} {problem}. {remedy}Without a network, put its four idx files into {folder}, "
            "or say where they are: dataset.root=FOLDER (or the environment variable VAE_HYDRA_DATA)"
        ) from error
    parts = [Examples(part.data.unsqueeze(1), part.targets) for part in (train, test)]
    return Source(parts[0], parts[1], scale=1 / 255)


def _check_idx_files(folder: Path) -> None:
    """Refuse files of images and labels that torchvision would misread, or fail on without their name."""
    for part in ("train", "t10k"):
        images, labels = (folder / f"{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
        sizes = {path: _idx_sizes(path, n) for path, n in ((images, 3), (labels, 1)) if path.is_file()}
        if len(sizes) == 2 and sizes[images][0] != sizes[labels][0]:
            raise ValueError(_damaged(labels, f"it has {sizes[labels][0]:,} labels for {sizes[images][0]:,} images"))


def _idx_sizes(path: Path, dimensions: int) -> tuple[int, ...]:
    try:
        sizes = check_idx(path, dimensions)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(_damaged(path, str(error))) from error
    if not sizes[0]:
        raise ValueError(_damaged(path, "it holds no examples"))
    return sizes


def _damaged(path: Path, defect: str) -> str:
    return (
        f"{path} is damaged: {defect}. Get another copy of it; with a network, delete it and add dataset.download=true"
    )


LOGNORMAL_2D_VARIANTS = ("raw", "rescaled", "overlapping")


def draw_lognormal_2d(variant: str, seed: int) -> Source:
    """Two classes of lognormal points in the plane, 20,000 for training and 5,000 for the test each.

    x = exp(N(m, 0.4²)) per axis, with m = (0, 2) and (2, 0); ``overlapping``: (0, 1) and (1, 0);
    ``rescaled``: each axis of ``raw`` mapped to [0, 1] by its minimum and maximum over all points.

    Source: HeavyTailed-VAE, project report, 2024.
    """
    checks.one_of("dataset.variant", variant, LOGNORMAL_2D_VARIANTS)
    generator = torch.Generator().manual_seed(checks.non_negative_integer("dataset.seed", seed))
    far = 1.0 if variant == "overlapping" else 2.0
    centres = torch.tensor([[0.0, far], [far, 0.0]])

    def draw(per_class: int) -> Examples:
        noise = torch.randn(2, per_class, 2, generator=generator)
        x = (centres[:, None] + 0.4 * noise).exp().reshape(-1, 2)
        return Examples(x, torch.arange(2).repeat_interleave(per_class))

    train, test = draw(20_000), draw(5_000)
    if variant == "rescaled":
        every = torch.cat([train.x, test.x])
        low, span = every.amin(0), every.amax(0) - every.amin(0)
        train, test = (Examples((part.x - low) / span, part.y) for part in (train, test))
    return Source(train, test)


def draw_inverse_gaussian_2d(loc: float, concentration: float, seed: int) -> Source:
    """Points in the plane, 40,000 for training and 10,000 for the test, all of one class.

    x ~ InverseGaussian(loc, concentration) independently per axis: mean loc, variance loc³/concentration,
    so that the tail is the heavier the smaller the concentration.
    """
    mean = torch.tensor(checks.positive("dataset.loc", loc), dtype=torch.float64)
    family = InverseGaussian(mean, checks.positive("dataset.concentration", concentration))
    checks.non_negative_integer("dataset.seed", seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        parts = [family.sample((size, 2)).float() for size in (40_000, 10_000)]
    train, test = (Examples(x, torch.zeros(len(x), dtype=torch.long)) for x in parts)
    return Source(train, test)


def draw_student_t_mixture(dimensions: int, df: float, train_size: int, test_size: int, seed: int) -> Source:
    """Points from two Student-t components, on a line or along a curve in the plane, labelled by component.

    1-D: x ~ 0.6·t(−2, 1) + 0.4·t(2, 1), location and scale, ν = ``df`` degrees of freedom. 2-D: u ~ 0.7·t(−2, 2) +
    0.3·t(2, 2) likewise, and x = (u, u + 2·sin(πu/4)) + ε·√(6/v) with ε ~ N(0, I) and one v ~ χ²(6) a point,
    bivariate t noise with 6 degrees of freedom.

    Source: Kim et al., "t³-Variational Autoencoder: Learning Heavy-tailed Data with Student's t and Power
    Divergence", 2023; there ν = 5, with 200,000 points for training and 500,000 for the test.
    """
    checks.integer("dataset.dimensions", dimensions, minimum=1, maximum=2)
    checks.positive("dataset.df", df)
    checks.positive_integer("dataset.train_size", train_size)
    checks.positive_integer("dataset.test_size", test_size)
    rng = np.random.default_rng(checks.non_negative_integer("dataset.seed", seed))
    first_share, scale = (0.6, 1.0) if dimensions == 1 else (0.7, 2.0)

    def draw(size: int) -> Examples:
        component = (rng.random(size) >= first_share).astype(np.int64)
        u = np.where(component == 0, -2.0, 2.0) + scale * rng.standard_t(df, size)
        x = u[:, None]
        if dimensions == 2:
            noise = rng.standard_normal((size, 2)) * np.sqrt(6 / rng.chisquare(6, (size, 1)))
            x = np.stack([u, u + 2 * np.sin(np.pi * u / 4)], axis=1) + noise
        return Examples(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(component))

    return Source(train=draw(train_size), test=draw(test_size))
