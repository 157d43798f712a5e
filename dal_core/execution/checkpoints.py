"""A run's models on disk, so that a restart need not fit the newest one again.

Each is one artefact: the weights, and as facts the labels and losses of the training. A file that
is missing, damaged or of other labels only means that the model is fitted again.
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
        measured: more facts to store with it, as JSON can hold them.

    Raises:
        OSError: it cannot be written; an earlier file stays as it was.
    """
    arrays, facts = fitted.dump()
    artefacts.save(path, arrays, {**facts, **(measured or {})})


def load_fitted(path: Path, learner: Learner, labelled: Labelled) -> Fitted | None:
    """The stored model; None if there is none, or if it is not of this run and these labels.

    A damaged file is None as well, with a warning.
    """
    try:
        return learner.load(*artefacts.load(path), labelled)
    except ArtefactMissing:
        return None
    except ArtefactDamaged as error:
        warnings.warn(f"{error}; the model has to be fitted again", stacklevel=2)
        return None
