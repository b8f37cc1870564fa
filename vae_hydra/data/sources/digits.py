"""scikit-learn's digits."""

from __future__ import annotations

import numpy as np
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split

from vae_hydra.data.examples import Examples, Source


def load_digits(seed: int) -> Source:
    """The 1,797 8×8 digits of scikit-learn; a fifth of each class, drawn by ``seed``, is the test set."""
    images, labels = datasets.load_digits(return_X_y=True)
    x = torch.from_numpy(images.astype(np.uint8)).reshape(-1, 1, 8, 8)
    y = torch.from_numpy(labels.astype(np.int64))
    train, test = train_test_split(np.arange(len(y)), test_size=0.2, stratify=labels, random_state=seed)
    digits = Examples(x, y)
    return Source(digits[torch.from_numpy(train)], digits[torch.from_numpy(test)], scale=1 / 16)
