"""Scaling plots: cost over labels, passes, pool size and workers, as SVG, PNG and CSV."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from benchmarks.measure import Results
from benchmarks.scaling import Scaling
from dal_core.figures.save import save

FORMATS = ("svg", "png")


def save_all(results: Results, scaled: Scaling, folder: Path) -> None:
    """Write the four plots into `folder`."""
    rows = [(t.n, seconds, part) for t in results.trainings for part, seconds in _parts(t).items()]
    labels = pd.DataFrame(rows, columns=["x", "y", "part"])
    _save(labels, "labels in the training set", "CPU seconds of a training", folder / "labels")
    for name, values, title in (
        ("passes", scaled.passes, "stochastic passes over 1,000 images (T)"),
        ("pool", scaled.pools, "images scored with 64 passes"),
    ):
        _save(_frame(values), title, "CPU seconds", folder / name)
    # CPU seconds, since clock seconds (in the JSON) include other work on the machine.
    per_worker = {n: measured["cpu"] for n, measured in scaled.workers.items()}
    _save(_frame(per_worker), "workers at once", "CPU seconds of a step, each", folder / "workers")


def _parts(training: Any) -> dict[str, float]:
    return {
        "training": training.seconds - training.validation,
        "validation": training.validation,
    }


def _frame(values: Mapping[int, float]) -> pd.DataFrame:
    return pd.DataFrame({"x": list(values), "y": list(values.values()), "part": ""})


def _save(data: pd.DataFrame, x: str, y: str, path: Path) -> None:
    encoding: dict[str, Any] = {
        "x": alt.X("x:Q", title=x, axis=alt.Axis(grid=False)),
        "y": alt.Y("y:Q", title=y),
    }
    if data["part"].nunique() > 1:
        encoding["color"] = alt.Color("part:N", title=None)
    chart = alt.Chart(data).mark_line(point=True).encode(**encoding)
    save(chart.properties(width=420, height=260), path, data, FORMATS)
