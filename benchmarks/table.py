"""Prints the results as tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks import selections
from benchmarks.measure import Part, Results
from benchmarks.posteriors import N_LABELS, PosteriorCost
from benchmarks.scaling import Scaling

WIDTH = 100


def show(results: Results) -> None:
    """Print the parts, the steps and the projection."""
    console = Console(width=WIDTH)
    table = Table(title="CPU seconds of one thread; the implementations are measured in turn")
    for column in ("part", "reference", "ours", "ratio", "ours / FLOPs", "note"):
        table.add_column(column, justify="left" if column in ("part", "note") else "right")
    for number, part in enumerate([*results.parts, *results.steps]):
        if number == len(results.parts):
            table.add_section()
        table.add_row(*_cells(part))
    console.print(table)
    console.print(
        "ours / FLOPs: our time divided by the time of the counted operations at the "
        f"{results.gemm_rate / 1e9:.0f} GFLOP/s of a 1024 x 1024 product.\n"
        "Whole steps: a training of 400 epochs with its validation, 64 passes over 3,000 and 5,000 "
        "images;\nours are run, the reference's are extrapolated from 5 to 300 epochs, "
        "a few validations and 8 passes."
    )
    title = "One query of `quick`: 3,480 images, 32 passes"
    console.print(selections.table(results.selections, title))
    titles = {"runs": "15 x 101 steps", "bounds": "three full-data bounds"}
    for name, hours in results.hours.items():
        console.print(
            f"{titles[name]}, projected, two cores: {hours['ours']:.2f} hours, the reference "
            f"{hours['reference']:.1f}"
        )


def _cells(part: Part) -> tuple[str, ...]:
    counted = f"{part.ours / part.counted:.1f}" if part.counted else ""
    return (
        part.name,
        _seconds(part.reference),
        _seconds(part.ours),
        f"{part.ratio:.1f}x",
        counted,
        part.note,
    )


def show_posteriors(steps: Sequence[PosteriorCost]) -> None:
    """Print what a step costs under each posterior."""
    table = Table(title=f"A step under quick at {N_LABELS} labels, CPU seconds of one thread")
    for column in ("posterior", "samples T", "fit", "query", "measure", "step / mc_dropout"):
        table.add_column(column, justify="left" if column == "posterior" else "right")
    for one in steps:
        parts = (_seconds(seconds) for seconds in (one.fit, one.query, one.evaluate))
        table.add_row(one.name, str(one.samples), *parts, f"{one.ratio:.2f}")
    Console(width=WIDTH).print(table)


def _seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def show_scaling(scaled: Scaling) -> None:
    """Print how the cost of a step grows, and the memory of a worker."""
    console = Console(width=WIDTH)
    for n, seconds in scaled.pools.items():
        console.print(f"64 passes over {n:,} images: {seconds:.2f} s")
    for n, measured in scaled.workers.items():
        console.print(
            f"{n} workers at once: {measured['steps_per_minute']:.1f} steps a minute (60 epochs, "
            f"220 labels), {measured['cpu']:.2f} CPU s and {measured['clock']:.2f} s on the clock "
            "each"
        )
    console.print(
        f"memory of a worker on {scaled.dataset}: {scaled.worker_megabytes:.0f} MB at its peak, "
        f"{scaled.whole_pool_megabytes:.0f} MB when it scores a whole pool"
    )
