"""Tell digits with a network that was exported by `dal export --format safetensors`.

    python predict.py model.safetensors digit.png [more.png ...]

Complete in itself, so that it may be copied and changed: it needs PyTorch, safetensors, NumPy and
Pillow, nothing of dal. Images are 28 x 28, a light digit on a dark ground as in MNIST; others are
brought to that size. The prediction is the deterministic one, with dropout off; what makes dal's
networks Bayesian (dropout left on, many passes) is not needed for it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError, safe_open

Weights = dict[str, torch.Tensor]


def read_model(path: Path) -> tuple[Weights, dict[str, str]]:
    """The weights by name, and what the file says of them (`model`, `n_labelled`, ...)."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def read_image(path: Path) -> np.ndarray:
    """A picture as uint8 [28, 28]."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L").resize((28, 28)))


def predict(weights: Weights, about: dict[str, str], images: np.ndarray) -> torch.Tensor:
    """uint8 [N, 28, 28] -> probabilities [N, 10], rows sum to 1."""
    pixels = torch.from_numpy(images.astype(np.float32)).unsqueeze(1) / 255
    x = (pixels - float(about["pixel_mean"])) / float(about["pixel_std"])
    with torch.inference_mode():
        return NETWORKS[about["model"]](weights, x).softmax(-1)


def lenet5(w: Weights, x: torch.Tensor) -> torch.Tensor:
    """[N, 1, 28, 28] -> logits [N, 10]."""
    x = F.max_pool2d(F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=2)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"])), 2).flatten(1)
    x = F.relu(F.linear(x, w["dense1.weight"], w["dense1.bias"]))
    x = F.relu(F.linear(x, w["dense2.weight"], w["dense2.bias"]))
    return F.linear(x, w["dense3.weight"], w["dense3.bias"])


def gal_cnn(w: Weights, x: torch.Tensor) -> torch.Tensor:
    """[N, 1, 28, 28] -> logits [N, 10]."""
    x = F.relu(F.conv2d(F.pad(x, (1, 2, 1, 2)), w["conv1.weight"], w["conv1.bias"]))
    x = F.relu(F.max_pool2d(F.conv2d(x, w["conv2.weight"], w["conv2.bias"]), 2)).flatten(1)
    x = F.relu(F.linear(x, w["dense1.weight"], w["dense1.bias"]))
    return F.linear(x, w["dense2.weight"], w["dense2.bias"])


NETWORKS = {"lenet5": lenet5, "gal_cnn": gal_cnn}


def main(model: str, *pictures: str) -> None:
    """Print a line for each picture: its name, the digit, how probable it is."""
    weights, about = read_model(Path(model))
    images = np.stack([read_image(Path(picture)) for picture in pictures])
    probabilities, digits = predict(weights, about, images).max(-1)
    for picture, digit, probability in zip(pictures, digits, probabilities, strict=True):
        print(f"{picture}: {digit} ({probability:.3f})")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: predict.py model.safetensors digit.png [more.png ...]")
    try:
        main(*sys.argv[1:])
    except (OSError, SafetensorError) as error:  # a file is missing, or is something else
        sys.exit(f"predict.py: {error}")
