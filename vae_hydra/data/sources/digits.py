"""The digits inside scikit-learn."""

from __future__ import annotations

import numpy as np
import torch

from vae_hydra.data.examples import Examples, Source


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
