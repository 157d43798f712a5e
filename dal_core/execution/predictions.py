"""Predictions of a run's newest model for all answered images, on disk.

The file is written after each fit of a person's run. Pages then show the model's predictions beside
the person's labels without loading the model. If the file is missing or damaged, they show none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dal_core.limits.npy import read_arrays
from dal_core.store import artefacts
from dal_core.store.artefacts import ArtefactDamaged, ArtefactMissing

FILE_NAME = "predictions.safetensors"
OLD_NAME = "beliefs.npz"  # file name in homes of the first versions


@dataclass(frozen=True)
class Predictions:
    """Mean of the T passes for every answered image, skipped images included.

    Attributes:
        image_ids: int64 [n].
        mean: float32 [n, C]; rows sum to 1.
        n_labelled: number of labels the model was fitted to.
        after, corrected: last submission and last correction among these labels; 0 for none.
    """

    image_ids: np.ndarray
    mean: np.ndarray
    n_labelled: int
    after: int
    corrected: int

    def by_image(self) -> dict[int, np.ndarray]:
        """Image id -> probabilities [C]."""
        return dict(zip(self.image_ids.tolist(), self.mean, strict=True))


def save_predictions(run_dir: Path, predictions: Predictions) -> None:
    """Write the file atomically, replacing an earlier one. Raises OSError."""
    arrays: dict[str, np.ndarray] = {
        "image_ids": predictions.image_ids.astype(np.int64),
        "mean": predictions.mean.astype(np.float32),
    }
    facts = {name: getattr(predictions, name) for name in ("n_labelled", "after", "corrected")}
    artefacts.save(run_dir / FILE_NAME, arrays, facts)
    (run_dir / OLD_NAME).unlink(missing_ok=True)


def load_predictions(run_dir: Path) -> Predictions | None:
    """The stored predictions; None if there are none or the file is damaged."""
    try:
        arrays, facts = artefacts.load(run_dir / FILE_NAME)
        found = Predictions(arrays["image_ids"], arrays["mean"], **facts)
    except ArtefactMissing:
        return _load_old(run_dir / OLD_NAME)
    except (ArtefactDamaged, KeyError, TypeError):
        return None
    return found if len(found.image_ids) == len(found.mean) else None


def _load_old(path: Path) -> Predictions | None:
    try:
        file = read_arrays(path)
        n_labelled, after, corrected = file["model"].tolist()
        found = Predictions(file["image_ids"], file["mean"], n_labelled, after, corrected)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if len(found.image_ids) == len(found.mean) else None
