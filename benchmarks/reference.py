"""A straightforward implementation: stock layers, a DataLoader, T full forward passes.

Benchmarks and tests compare the core with it. It shares only the report's parameters with the
product. Images are transformed one by one while loading, and validation loads them again in every
epoch. Dropout is `nn.Dropout`, and every stochastic pass runs the whole network.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from dal_core.data.torchvision_ops import import_torchvision

BATCH = 1024

Batches = Iterable[tuple[Tensor, Tensor]]


class Images(Dataset[tuple[Tensor, int]]):
    """Labelled uint8 images, scaled to [0, 1] and normalised on access."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        import_torchvision()
        from torchvision import transforms

        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def loader(images: np.ndarray, labels: np.ndarray) -> DataLoader[tuple[Tensor, int]]:
    """Batches of 1,024 images, in order."""
    return DataLoader(Images(images, labels), batch_size=BATCH)


def lenet5(dropout: tuple[float, float]) -> nn.Sequential:
    """LeNet of the report's table 1; the last layer returns logits, without relu."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Dropout(dropout[0]), nn.Linear(400, 120), nn.ReLU()),
        *(nn.Dropout(dropout[1]), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def train_epoch(
    model: nn.Module, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> float:
    """Train one full-batch epoch with dropout on; returns the mean cross entropy in nats."""
    model.train()
    optimiser.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimiser.step()
    return loss.item()


def validation_loss(model: nn.Module, batches: Batches) -> float:
    """Mean cross entropy in nats, with dropout off."""
    model.eval()
    total, n = 0.0, 0
    with torch.no_grad():
        for images, labels in batches:
            total += F.cross_entropy(model(images), labels, reduction="sum").item()
            n += len(labels)
    return total / n


def stochastic_passes(model: nn.Module, batches: Batches, n_passes: int) -> Tensor:
    """[T, N, C] probabilities of T passes of the whole network with dropout on."""
    model.train()
    with torch.no_grad():
        chunks = [
            torch.stack([torch.softmax(model(images), -1) for _ in range(n_passes)])
            for images, _ in batches
        ]
    return torch.cat(chunks, dim=1)
