"""What a run's newest model believes of the images that were answered, on disk.

One file, `beliefs.npz` in the run's folder, written after each fit of a person's run, so that a
page can set a person's labels beside the model's without a model of its own. It is a
convenience, never the truth: a missing or foreign file only means that there is nothing to show.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE_NAME = "beliefs.npz"  # the name that homes of every version have


@dataclass(frozen=True)
class Predictions:
    """The mean of the T passes for every image that was answered, skipped ones included.

    Attributes:
        image_ids: int64 [n].
        mean: float32 [n, C]; rows sum to 1.
        n_labelled: labels the model had.
        after, corrected: the last submission and correction in its training set; 0: none.
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
    """Write the file under a temporary name, then rename, so a reader never sees half of it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    temporary = run_dir / (FILE_NAME + ".tmp")
    with temporary.open("wb") as file:
        np.savez(
            file,
            image_ids=predictions.image_ids.astype(np.int64),
            mean=predictions.mean.astype(np.float32),
            model=np.array([predictions.n_labelled, predictions.after, predictions.corrected]),
        )
    os.replace(temporary, run_dir / FILE_NAME)


def load_predictions(run_dir: Path) -> Predictions | None:
    """The newest predictions; None when there are none, or none that can be read."""
    try:
        with np.load(run_dir / FILE_NAME, allow_pickle=False) as file:
            n_labelled, after, corrected = file["model"].tolist()
            found = Predictions(file["image_ids"], file["mean"], n_labelled, after, corrected)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found if len(found.image_ids) == len(found.mean) else None
