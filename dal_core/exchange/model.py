"""Export a run's newest model as safetensors with descriptive metadata, and a script that uses it.

The weights come from the run's checkpoint. Its metadata are replaced, since they serve only to
continue the run. Importing this module does not import torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from safetensors.numpy import save

from dal_core.run.state import RunState
from dal_core.store.artefacts import ArtefactDamaged, ArtefactMissing, load
from dal_core.store.home import run_dir

WEIGHTS = "weights.safetensors"  # checkpoints.FILE_NAME
SCRIPT = Path(__file__).with_name("predict.py")  # self-contained: people copy it


class NoModel(ValueError):
    """The run has no model on disk; the message is one line."""


def has_model(home: Path, run_id: str) -> bool:
    """Whether the run has a model on disk."""
    return (run_dir(home, run_id) / WEIGHTS).is_file()


def model_bytes(home: Path, log: RunState) -> bytes:
    """The newest finished model as a safetensors file.

    The weights of an ensemble have the number of their network before their name. The file's
    metadata (all text): `model` (name of the architecture), `image_shape` (height and width,
    and 3 for RGB), `pixel_mean` and `pixel_std` (of pixels scaled to [0, 1], one value per
    channel), `classes` (labels), `class_names` (a JSON list in their order), `dropout`, `run`,
    `dataset`, `n_labelled` (labels it was trained on), and `test_accuracy` if it was measured.

    Raises:
        NoModel: the run has not been fitted yet, or its model file is missing or damaged.
    """
    run_id = log.run.run_id
    try:
        weights, facts = load(run_dir(home, run_id) / WEIGHTS)
    except ArtefactMissing:
        raise NoModel(f"run {run_id} has no model yet: it has not been fitted") from None
    except ArtefactDamaged as error:
        raise NoModel(f"run {run_id} has no usable model: {error}") from None
    if not facts["n_labelled"]:
        raise NoModel(f"run {run_id} has no model yet: it has no labels to learn from")
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
        "run": run_id,
        "dataset": protocol.dataset,
        "n_labelled": str(facts["n_labelled"]),
    }
    model = (facts["after"], facts.get("corrected", 0))
    measured = [step for step in log.steps if (step.after, step.corrected) == model]
    if measured and measured[-1].accuracy is not None:
        about["test_accuracy"] = str(measured[-1].accuracy)
    own = f"{protocol.posterior}."  # what only the posterior reads, such as its training set
    network = {name: a for name, a in weights.items() if not name.startswith(own)}
    return save(network, metadata=about)


def _listed(values: Iterable[float]) -> str:
    return " ".join(map(str, values))


def predict_script() -> str:
    """The source of `predict.py`, to be written beside an exported model."""
    return SCRIPT.read_text(encoding="utf-8")
