"""How accurate a run's models are by its audit, with an interval (docs/method.md, section 5.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dal_core.results.intervals import clopper_pearson
from dal_core.store.audit import AuditAnswer, AuditPrediction


@dataclass(frozen=True)
class AuditPoint:
    """The audit of one model.

    Attributes:
        n_labelled: labels the model was fitted to.
        n_right, n: audit images it classifies as the person did, of those with a label.
        low, high: the 95% interval of its accuracy.
    """

    n_labelled: int
    n_right: int
    n: int
    low: float
    high: float

    @property
    def accuracy(self) -> float:
        """The share of right ones."""
        return self.n_right / self.n


def audit_points(
    audit: Sequence[int],
    predictions: Sequence[AuditPrediction],
    answers: Mapping[int, AuditAnswer],
) -> list[AuditPoint]:
    """A point for each model; none while no audit image has a label.

    Args:
        audit: the audit images, in the order of the predictions.
    """
    truth = [answers[i].label if i in answers else None for i in audit]
    n = sum(label is not None for label in truth)
    points = []
    for one in predictions if n else ():
        pairs = zip(one.predicted, truth, strict=True)
        n_right = sum(label == guess for guess, label in pairs if label is not None)
        points.append(AuditPoint(one.n_labelled, n_right, n, *clopper_pearson(n_right, n)))
    return points
