"""A run's newest model to take away: safetensors that say what they are, and a script to use them.

Owns the exported file's metadata. The run's own checkpoint (`checkpoint`) is where the weights
come from; it has what dal needs to go on, the export what anybody else needs. Importing this does
not import torch, which the pages can do without.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dal_core.run.state import RunState
from dal_core.store.home import run_dir

WEIGHTS = "weights.safetensors"  # checkpoint.FILE_NAME
SCRIPT = Path(__file__).with_name("predict.py")  # complete in itself, to be copied


class NoModel(ValueError):
    """The run has no model on disk; the message is one line."""


def has_model(home: Path, run_id: str) -> bool:
    """Whether the run has a model on disk."""
    return (run_dir(home, run_id) / WEIGHTS).is_file()


def model_bytes(home: Path, log: RunState) -> bytes:
    """The newest finished model as a safetensors file.

    Its metadata (all text): `model` (name of the architecture), `image_shape` (height and width,
    and 3 for RGB), `pixel_mean` and `pixel_std` (of pixels scaled to [0, 1], one value per
    channel), `classes` (labels), `class_names` (a JSON list in their order), `dropout`, `run`,
    `dataset`, `n_labelled` (labels it was trained on), and `test_accuracy` where it was measured.

    Raises:
        NoModel: the run was not fitted yet, or not on this machine.
    """
    try:
        with safe_open(run_dir(home, log.run.run_id) / WEIGHTS, framework="np") as file:
            facts = json.loads(file.metadata()["dal"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        raise NoModel(f"run {log.run.run_id} has no model yet: its first fit is to come") from None
    loader = log.run.loader
    protocol = log.run.spec.protocol
    about = {
        "format": "pt",
        "model": protocol.which_model,
        "image_shape": _listed(loader.image_shape),
        "pixel_mean": _listed(loader.pixel_mean),
        "pixel_std": _listed(loader.pixel_std),
        "classes": _listed(range(loader.n_classes)),
        "class_names": json.dumps(loader.class_names),
        "dropout": _listed(protocol.dropout),
        "run": log.run.run_id,
        "dataset": protocol.dataset,
        "n_labelled": str(facts["n_labelled"]),
    }
    model = (facts["after"], facts.get("corrected", 0))
    measured = [step for step in log.steps if (step.after, step.corrected) == model]
    if measured and measured[-1].accuracy is not None:
        about["test_accuracy"] = str(measured[-1].accuracy)
    return save(weights, metadata=about)


def _listed(values: Iterable[float]) -> str:
    return " ".join(map(str, values))


def predict_script() -> str:
    """The text of `predict.py`."""
    return SCRIPT.read_text(encoding="utf-8")
