"""What each model of a person's run predicts for the images of its audit."""

from __future__ import annotations

import warnings
from pathlib import Path

from dal_core.learner.base import Fitted, Learner
from dal_core.store.audit import AuditPrediction, add_prediction


def predict_audit(home: Path, run_id: str, learner: Learner, fitted: Fitted) -> None:
    """Store the likeliest class of each audit image; a full disk costs only this prediction."""
    ids = learner.split.audit.tolist()
    if not ids or not fitted.n_labelled:
        return
    predicted = tuple(learner.inspect(fitted, ids).mean(0).argmax(1).tolist())
    state = fitted.after, fitted.corrected, fitted.n_labelled
    try:
        add_prediction(home, run_id, AuditPrediction(*state, predicted))
    except OSError as error:
        warnings.warn(f"the audit of {run_id} was not stored: {error}", stacklevel=2)
