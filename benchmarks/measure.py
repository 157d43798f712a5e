"""The measurements: single parts, whole steps, and a projection of the whole experiment.

Seconds are CPU seconds of one thread, unless called clock seconds. A repeated measurement gives its
median.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np

from benchmarks import flops, selections
from benchmarks.children import Child
from benchmarks.selections import Cost
from benchmarks.sides import REPORT
from dal_core.acquisition import registry

SIZES = (20, 120, 220, 520, 1020)
POOL, TEST, WHOLE_POOL = 5000, 3000, 58_980
FULL_DATA, SEEDS = 59_000, 3
FUNCTIONS = 5  # one of them is random, which scores nothing
STEPS = range(20, 1021, 10)

Announce = Callable[[str], None]  # called with the name of the next measurement


@dataclass(frozen=True)
class Part:
    """One line of the table.

    Attributes:
        reference, ours: CPU seconds of both sides.
        counted: seconds predicted from counted operations.
    """

    name: str
    reference: float
    ours: float
    counted: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """Speed-up of ours over the reference."""
        return self.reference / self.ours


@dataclass(frozen=True)
class WholeTraining:
    """A whole training of our side on n images."""

    n: int
    seconds: float
    validation: float  # seconds
    share: float  # of the validation images that were evaluated


@dataclass(frozen=True)
class Results:
    """Everything that was measured or projected."""

    gemm_rate: float
    parts: list[Part]
    steps: list[Part]
    trainings: list[WholeTraining]
    hours: dict[str, dict[str, float]]
    selections: list[Cost]

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


@contextmanager
def sides() -> Iterator[tuple[Child, Child]]:
    """The child processes of the reference and of our side."""
    reference, ours = Child("reference"), Child("ours")
    try:
        yield reference, ours
    finally:
        reference.close()
        ours.close()


def run(announce: Announce, sizes: Sequence[int] = SIZES, repeats: int = 3) -> Results:
    """Measure everything.

    Args:
        sizes: numbers of labels to measure at.
        repeats: measurements of each training epoch.
    """
    rate, per_image = flops.gemm_rate(), flops.per_image()
    with sides() as (reference, ours):

        def part(name: str, method: str, n: int, kind: str, times: int = repeats) -> Part:
            announce(name)
            pairs = [(reference.measure(method, n), ours.measure(method, n)) for _ in range(times)]
            seconds = [median(column) for column in zip(*pairs, strict=True)]
            return Part(name, seconds[0], seconds[1], per_image[kind] * n / rate)

        epochs = [part(f"train epoch, n = {n}", "train_epoch", n, "train") for n in sizes]
        batch = part("train batch of 1,024", "train_epoch", 1024, "train")
        test = part(f"{REPORT.num_mc_samples} passes, {TEST:,}", "passes", TEST, "passes", 2)
        pool = part(f"{REPORT.num_mc_samples} passes, {POOL:,}", "passes", POOL, "passes", 2)
        validations, trainings = [], []
        for n in sizes:
            announce(f"a whole training, n = {n}")
            validations += [reference.measure("validation", REPORT.val_size) for _ in range(2)]
            trainings.append(WholeTraining(n, **ours.measure("whole_training", n)))
    validation = _validation(median(validations), trainings, per_image["validation"] / rate)
    steps = _steps(epochs, trainings, validation, test, pool)
    hours = _hours(steps, trainings, test, pool, batch, validation)
    announce("a query by each function")
    costs = selections.queries(registry.names())
    parts = [*epochs, batch, validation, test, pool]
    return Results(rate, parts, steps, trainings, hours, costs)


def _validation(reference: float, trainings: Sequence[WholeTraining], per_image: float) -> Part:
    """One validation; our time varies by epoch, so it is the mean over whole trainings."""
    ours = float(np.mean([t.validation for t in trainings])) / REPORT.n_epochs
    share = float(np.mean([t.share for t in trainings]))
    counted = per_image * REPORT.val_size
    return Part("validation, 1,000", reference, ours, counted, f"{share:.0%} of the images seen")


def _steps(
    epochs: Sequence[Part],
    trainings: Sequence[WholeTraining],
    validation: Part,
    test: Part,
    pool: Part,
) -> list[Part]:
    """Whole steps; the reference's 400 epochs are extrapolated from a few, ours are all run."""
    scoring = test.reference + pool.reference
    return [
        Part(
            f"whole step, n = {ours.n}",
            REPORT.n_epochs * (epoch.reference + validation.reference) + scoring,
            ours.seconds + test.ours + pool.ours,
        )
        for epoch, ours in zip(epochs, trainings, strict=True)
    ]


def _hours(
    steps: Sequence[Part],
    trainings: Sequence[WholeTraining],
    test: Part,
    pool: Part,
    batch: Part,
    validation: Part,
) -> dict[str, dict[str, float]]:
    """Projected hours of 15 runs x 101 steps and of three full-data bounds on two free cores.

    Empty if the measured sizes do not reach the last step.
    """
    sizes = [training.n for training in trainings]
    if max(sizes) < STEPS[-1]:
        return {}
    hours: dict[str, dict[str, float]] = {"runs": {}, "bounds": {}}
    for side in ("reference", "ours"):
        step = np.interp(STEPS, sizes, [getattr(part, side) for part in steps]).sum()
        unscored = getattr(pool, side) * (FUNCTIONS + len(STEPS) - 1)  # random; the last steps
        runs = SEEDS * (FUNCTIONS * step - unscored)
        epoch = getattr(batch, side) * FULL_DATA / 1024 + getattr(validation, side)
        bound = REPORT.n_epochs * epoch + getattr(test, side) * 10_000 / TEST
        hours["runs"][side] = float(runs / 3600 / 2)
        hours["bounds"][side] = float(SEEDS * bound / 3600 / 2)
    return hours
