"""The newest model of a run on disk, so that a restart need not train it again.

One file, `weights.safetensors`: the weights, and as its metadata what they were trained on and
what the training measured. It is a convenience, never the truth: a missing or foreign file only
means that the model is fitted again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dal_core.learner.bayesian_cnn import Fitted, Learner
from dal_core.training.loop import Training

FILE_NAME = "weights.safetensors"


def save_fitted(
    folder: Path,
    fitted: Fitted,
    spec_key: str,
    name: str = FILE_NAME,
    measured: Mapping[str, Any] | None = None,
) -> None:
    """Write the model under a temporary name, then rename, so a reader never sees half a file.

    `measured` goes along with the facts of the training, as plain values.
    """
    training = fitted.training
    facts = {
        "spec": spec_key,
        "after": fitted.after,
        "corrected": fitted.corrected,
        "n_labelled": fitted.n_labelled,
        "train_losses": training.train_losses,
        "val_losses": training.val_losses,
        "best_epoch": training.best_epoch,
        "seconds": fitted.seconds,
        **(measured or {}),
    }
    weights = {
        name: tensor.cpu().contiguous() for name, tensor in fitted.model.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / (name + ".tmp")
    with temporary.open("wb") as file:
        file.write(save(weights, metadata={"dal": json.dumps(facts)}))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / name)


def read_facts(path: Path) -> dict[str, Any] | None:
    """What a file says of its model, without the weights; None where there is no whole file."""
    try:
        with safe_open(path, framework="pt") as file:
            facts: dict[str, Any] = json.loads((file.metadata() or {})["dal"])
            return facts
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


def load_fitted(
    folder: Path, learner: Learner, spec_key: str, name: str = FILE_NAME
) -> Fitted | None:
    """The stored model if it is the one the learner's current labels ask for, else None."""
    try:
        return _read(folder / name, learner, spec_key)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None  # absent, cut short, or of another version


def _read(path: Path, learner: Learner, spec_key: str) -> Fitted | None:
    with safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {})["dal"])
        spec, after = facts["spec"], facts["after"]
        corrected = facts.get("corrected", 0)  # files of before there were corrections
        if spec != spec_key or not learner.matches_current_labels(after, corrected):
            return None
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = learner.fresh_model()
    model.load_state_dict(weights)
    training = Training(
        tuple(facts["train_losses"]),
        tuple(facts["val_losses"]),
        facts["best_epoch"],
        facts["seconds"]["train"],
    )
    seconds = {"train": training.seconds}
    return Fitted(model, training, facts["n_labelled"], facts["after"], seconds, corrected)
