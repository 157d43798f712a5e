"""The measurements of one run as plain numbers, as records, tables and figures use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Metric = Literal["accuracy", "mutual_information", "nll", "brier", "ece"]
METRICS: tuple[Metric, ...] = ("accuracy", "mutual_information")  # every point has them
CALIBRATION: tuple[Metric, ...] = ("nll", "brier", "ece")  # missing in earlier versions


@dataclass(frozen=True)
class RunCurve:
    """The measurements of one run: tuples of the same length, one value per step.

    Attributes:
        acquisition: name of the acquisition function, such as "bald".
        seed: runs of the same seed share validation, initial and test images.
        n_labelled: labels in the training set at each step.
        accuracy: test accuracy at each step, 0 .. 1.
        mutual_information: test mutual information at each step, nats.
        seconds: seconds the run has taken; None if the source does not give them by run.
        dataset: name of the data set; "" if the source does not give it.
        nll, brier, ece: measures of calibration at each step (docs/method.md, section 5.2), None
            at steps without them; empty if no step has them.
    """

    acquisition: str
    seed: int
    n_labelled: tuple[int, ...]
    accuracy: tuple[float, ...]
    mutual_information: tuple[float, ...]
    seconds: float | None = None
    dataset: str = ""
    nll: tuple[float | None, ...] = ()
    brier: tuple[float | None, ...] = ()
    ece: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.n_labelled), len(self.accuracy), len(self.mutual_information)}
        if len(lengths) != 1:
            raise ValueError(
                f"{self.acquisition} seed {self.seed}: labels, accuracy and information have "
                f"{len(self.n_labelled)}, {len(self.accuracy)} and {len(self.mutual_information)} "
                "values; allowed: the same number"
            )
        for name in CALIBRATION:
            n_values = len(getattr(self, name))
            if n_values not in (0, len(self.n_labelled)):
                raise ValueError(
                    f"{self.acquisition} seed {self.seed}: {name} has {n_values} values for "
                    f"{len(self.n_labelled)} steps; allowed: one for each, or none"
                )

    def points(self, metric: Metric) -> dict[int, float]:
        """The measured values by number of labels, in order."""
        values = getattr(self, metric) or (None,) * len(self)
        pairs = zip(self.n_labelled, values, strict=True)
        return {n: value for n, value in pairs if value is not None}

    def __len__(self) -> int:
        return len(self.n_labelled)

    def up_to(self, n_labelled: int) -> RunCurve:
        """The steps with at most this many labels."""
        n_steps = sum(n <= n_labelled for n in self.n_labelled)
        return replace(
            self,
            n_labelled=self.n_labelled[:n_steps],
            accuracy=self.accuracy[:n_steps],
            mutual_information=self.mutual_information[:n_steps],
            **{name: getattr(self, name)[:n_steps] for name in CALIBRATION},
        )


@dataclass(frozen=True)
class Bound:
    """Test results of one full-data training (docs/method.md, section 7).

    Attributes:
        seed: seed of the training.
        accuracy: test accuracy, 0 .. 1.
        mutual_information: test mutual information, nats.
        seconds: seconds the training and measurement took; None if unknown.
        nll, brier, ece: measures of calibration; None if they were not measured.
    """

    seed: int
    accuracy: float
    mutual_information: float
    seconds: float | None = None
    nll: float | None = None
    brier: float | None = None
    ece: float | None = None


def as_curve(steps: Mapping[str, Any] | Any, acquisition: str = "", seed: int = 0) -> RunCurve:
    """A `RunCurve` from a data frame (or mapping) of columns.

    Args:
        steps: columns `n_labelled`, `accuracy` and `mutual_information`, a row per step.

    Raises:
        ValueError: a column is missing, or the columns differ in length.
    """
    missing = [c for c in ("n_labelled", "accuracy", "mutual_information") if c not in steps]
    if missing:
        raise ValueError(f"a run's steps need the column {missing[0]}")
    return RunCurve(
        acquisition,
        seed,
        tuple(int(n) for n in steps["n_labelled"]),
        tuple(float(a) for a in steps["accuracy"]),
        tuple(float(m) for m in steps["mutual_information"]),
    )
