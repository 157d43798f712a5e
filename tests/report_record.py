"""A small record whose crossings are the report's printed numbers (docs/method.md, section 8).

Each run is a staircase. For an error e with the run's own first crossing c and the averaged
curve's A: below both it is low; at c it touches 1 - e and, where A is still to come, falls back
just under it; where A has passed and c is still to come it waits just under 1 - e; after both it
is high. So the runs cross at their c and their mean at A, whichever comes first.
"""

from dal_core.record_file.build import build_record
from dal_core.record_file.schema import Record
from dal_core.results.curves import Bound, RunCurve
from dal_core.results.published import LABELS_NEEDED

PROTOCOL = {
    "protocol": "released",
    "dataset": "mnist",
    "which_model": "lenet5",
    "train_size": 20,
    "val_size": 1000,
    "n_acquisition_steps": 100,
    "n_samples_to_acquire": 10,
    "pool_subset_size": 5000,
    "test_subset_size": 3000,
    "num_mc_samples": 64,
    "n_epochs": 400,
    "dropout": (0.25, 0.5),
    "weights": "last",
}
LABELS = tuple(range(20, 1021, 10))
BOUNDS = (Bound(1, 0.9909, 0.0334), Bound(2, 0.9909, 0.0353), Bound(3, 0.9921, 0.0315))


def report_runs() -> list[RunCurve]:
    runs = []
    for name in LABELS_NEEDED[0.10]:
        ten, five = LABELS_NEEDED[0.10][name], LABELS_NEEDED[0.05][name]
        for seed, (c10, c5) in enumerate(zip(ten.runs, five.runs, strict=True), start=1):
            accuracy = tuple(
                _staircase(n, c10, ten.average_step, c5, five.average_step) for n in LABELS
            )
            information = tuple(0.05 + 4.0 / n for n in LABELS)
            runs.append(RunCurve(name, seed, LABELS, accuracy, information, 6000.0 + seed))
    return runs


def report_record() -> Record:
    return build_record(report_runs(), PROTOCOL, BOUNDS)


def _staircase(n: int, c10: int, a10: int, c5: int, a5: int) -> float:
    if n < c10:
        return 0.60 if n < a10 else 0.89
    if n < a10:
        return 0.90 if n == c10 else 0.89
    if n < c5:
        return 0.94
    if n < a5:
        return 0.95 if n == c5 else 0.94
    return 0.98
