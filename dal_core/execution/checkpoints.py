"""A run's models on disk, so that the newest model need not be fitted again after a restart.

A model is one artefact: its arrays are the weights, its facts the labels and losses of the
training. If the file is missing, damaged or belongs to other labels, the model is fitted again.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dal_core.learner.base import Fitted, Learner
from dal_core.run.labelled import Labelled
from dal_core.store import artefacts
from dal_core.store.artefacts import ArtefactDamaged, ArtefactMissing

FILE_NAME = "weights.safetensors"  # of the newest model, in the run's folder


def save_fitted(path: Path, fitted: Fitted, measured: Mapping[str, Any] | None = None) -> None:
    """Write the model atomically.

    Args:
        measured: further facts to store, as JSON values.

    Raises:
        OSError: the file cannot be written; an earlier file is not changed.
    """
    arrays, facts = fitted.dump()
    artefacts.save(path, arrays, {**facts, **(measured or {})})


def load_fitted(path: Path, learner: Learner, labelled: Labelled) -> Fitted | None:
    """The stored model; None if there is none, or it belongs to another run or other labels.

    A damaged file gives None with a warning.
    """
    try:
        return learner.load(*artefacts.load(path), labelled)
    except ArtefactMissing:
        return None
    except ArtefactDamaged as error:
        warnings.warn(f"{error}; the model has to be fitted again", stacklevel=2)
        return None
