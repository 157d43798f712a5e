"""Classifies images with a network exported by `dal export --format safetensors`.

    python predict.py model.safetensors image.png [more.png ...]

The script is self-contained, so that you can copy and change it. It needs PyTorch, safetensors,
NumPy and Pillow, but not dal. Images are resized to the size the network was trained on. For MNIST
they should show a light digit on a dark background. Nothing is dropped for the prediction: the
many passes with which dal measures uncertainty are not needed for it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError, safe_open

Weights = dict[str, torch.Tensor]


def read_model(path: Path) -> tuple[Weights, dict[str, str]]:
    """The weights by name, and the metadata of the file (`model`, `n_labelled`, ...)."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def image_shape(about: dict[str, str]) -> tuple[int, ...]:
    """(height, width), or (height, width, 3) for RGB; files without it are MNIST's (28, 28)."""
    return tuple(int(side) for side in about.get("image_shape", "28 28").split())


def class_names(about: dict[str, str]) -> list[str]:
    """A name for each class; files without names have the labels only."""
    names: list[str] = json.loads(about["class_names"]) if "class_names" in about else []
    return names or about["classes"].split()


def read_image(path: Path, shape: tuple[int, ...] = (28, 28)) -> np.ndarray:
    """A picture, converted and resized to uint8 of this shape."""
    with Image.open(path) as picture:
        mode = "L" if len(shape) == 2 else "RGB"
        return np.asarray(picture.convert(mode).resize((shape[1], shape[0])))


def predict(weights: Weights, about: dict[str, str], images: np.ndarray) -> torch.Tensor:
    """uint8 [N, H, W] or [N, H, W, 3] -> probabilities [N, C]; rows sum to 1."""
    pixels = torch.from_numpy(images.astype(np.float32)) / 255
    pixels = pixels.unsqueeze(1) if images.ndim == 3 else pixels.permute(0, 3, 1, 2)
    mean, std = (
        torch.tensor([float(one) for one in about[key].split()]).view(-1, 1, 1)
        for key in ("pixel_mean", "pixel_std")
    )
    network, x = NETWORKS[about["model"]], (pixels - mean) / std
    with torch.inference_mode():
        return torch.stack([network(w, x).softmax(-1) for w in members(weights)]).mean(0)


def members(weights: Weights) -> list[Weights]:
    """The weights of each network; in an ensemble, names begin with the network's number."""
    found: dict[str, Weights] = {}
    for name, tensor in weights.items():
        number, _, own = name.partition(".")
        one, key = (number, own) if number.isdecimal() else ("", name)
        found.setdefault(one, {})[key] = tensor
    return list(found.values())


def lenet5(w: Weights, x: torch.Tensor) -> torch.Tensor:
    """[N, channels, H, W] -> logits [N, C]."""
    x = F.max_pool2d(F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=2)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"])), 2).flatten(1)
    x = F.relu(F.linear(x, w["dense1.weight"], w["dense1.bias"]))
    x = F.relu(F.linear(x, w["dense2.weight"], w["dense2.bias"]))
    return F.linear(x, w["dense3.weight"], w["dense3.bias"])


def gal_cnn(w: Weights, x: torch.Tensor) -> torch.Tensor:
    """[N, channels, H, W] -> logits [N, C]."""
    x = F.relu(F.conv2d(F.pad(x, (1, 2, 1, 2)), w["conv1.weight"], w["conv1.bias"]))
    x = F.relu(F.max_pool2d(F.conv2d(x, w["conv2.weight"], w["conv2.bias"]), 2)).flatten(1)
    x = F.relu(F.linear(x, w["dense1.weight"], w["dense1.bias"]))
    return F.linear(x, w["dense2.weight"], w["dense2.bias"])


NETWORKS = {"lenet5": lenet5, "gal_cnn": gal_cnn}


def main(model: str, *pictures: str) -> None:
    """Print a line for each picture: its name, the class, its probability."""
    weights, about = read_model(Path(model))
    names, shape = class_names(about), image_shape(about)
    images = np.stack([read_image(Path(picture), shape) for picture in pictures])
    probabilities, labels = predict(weights, about, images).max(-1)
    for picture, label, probability in zip(pictures, labels, probabilities, strict=True):
        print(f"{picture}: {names[label]} ({probability:.3f})")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: predict.py model.safetensors image.png [more.png ...]")
    try:
        main(*sys.argv[1:])
    except (OSError, SafetensorError) as error:  # a file is missing or of another kind
        sys.exit(f"predict.py: {error}")
