"""Signatures and help of the commands that compute; the modules they import do the work."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dal_core.acquisition import registry
from dal_core.cli.options import (
    DataSet,
    Device,
    Home,
    JsonObject,
    Noise,
    Posterior,
    Run,
    Settings,
    Title,
    WorkerCount,
)


def run(
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="report, released, gal2017 or quick [default: quick]"),
    ] = None,
    acquisition: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"{', '.join(registry.names()[:-1])} or {registry.names()[-1]} [default: bald]",
        ),
    ] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Random seed [default: 1]")] = None,
    dataset: DataSet = None,
    posterior: Posterior = None,
    noise: Noise = None,
    settings: Settings = None,
    until_labels: Annotated[
        str | None, typer.Option(metavar="N", help="Stop before the run has more than N labels")
    ] = None,
    until_accuracy: Annotated[
        str | None,
        typer.Option(metavar="A", help="Stop at this test accuracy, above 0 and at most 1"),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Continue this run; only the two --until options can be changed"
        ),
    ] = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """Start or resume a run that the simulated oracle answers.

    Prints the id of the run first, then progress; the last line is the result. Ctrl-C stops the
    run (exit code 130) and loses at most the current step; `dal run --resume RUN` continues it.
    """
    from dal_core.cli import run as implementation

    given = _given(
        protocol=protocol,
        acquisition=acquisition,
        seed=seed,
        dataset=dataset,
        posterior=posterior,
        noise=noise,
    )
    if settings:
        given["set"] = tuple(settings)
    stops = implementation.Stops(until_labels, until_accuracy)
    code = implementation.run(
        given, stops, resume=resume, device=device, home=home, as_json=as_json
    )
    raise typer.Exit(code)


def reproduce(
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="report, released, gal2017 or quick [default: report]"),
    ] = None,
    dataset: DataSet = None,
    posterior: Posterior = None,
    acquisitions: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Acquisition functions [default: the five of the report]"),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="Seeds of each function, such as 1,2,3 or 1-10 [default: 1,2,3]",
        ),
    ] = None,
    full_data: Annotated[
        bool | None,
        typer.Option(
            "--full-data/--no-full-data",
            help="Also train on all images, once per seed [default: --full-data]",
        ),
    ] = None,
    noise: Noise = None,
    settings: Settings = None,
    title: Title = None,
    workers: WorkerCount = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="EXPERIMENT", help="Continue this experiment: its id, or the start of the id"
        ),
    ] = None,
    lockstep: Annotated[
        bool | None,
        typer.Option(
            "--lockstep/--no-lockstep",
            help="Train all runs as one batch of models in one process [default: on cuda]",
        ),
    ] = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """Start or resume an experiment: functions x seeds, and full-data bounds.

    Prints the id of the experiment first, then a live table. Ctrl-C stops it (exit code 130) and
    loses at most the current steps; `dal reproduce --resume EXPERIMENT` continues it.
    """
    from dal_core.cli import reproduce as implementation

    given = _given(
        protocol=protocol,
        dataset=dataset,
        posterior=posterior,
        acquisitions=acquisitions,
        seeds=seeds,
        full_data=full_data,
        noise=noise,
        title=title,
    )
    if settings:
        given["set"] = tuple(settings)
    code = implementation.reproduce(
        given,
        resume=resume,
        workers=workers,
        device=device,
        lockstep=lockstep,
        home=home,
        as_json=as_json,
    )
    raise typer.Exit(code)


def replay(
    labels: Annotated[
        str,
        typer.Argument(
            metavar="LABELS", help="A file of labels (CSV or JSON lines), or the id of a run"
        ),
    ],
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="report, released, gal2017 or quick [default: the run's; for a file quick]",
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(metavar="N", help="Random seed [default: the run's; for a file 1]"),
    ] = None,
    acquisition: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Function that chose the images, for the record [default: the run's; for a file "
            "bald]",
        ),
    ] = None,
    dataset: DataSet = None,
    settings: Settings = None,
    title: Title = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """Refit the labels of a file or a run, step by step, to a learning curve.

    Corrected labels give the corrected curve from the start. Prints the id of the new run first,
    then progress; the last line is the result. After a stop or a kill, the same command continues.
    """
    from dal_core.cli import refit

    wanted = refit.Wanted(protocol, acquisition, seed, dataset, tuple(settings or ()), title)
    raise typer.Exit(refit.refit(labels, wanted, device=device, home=home, as_json=as_json))


def fork(
    run: Run,
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="N", help="Number of labels that both runs share, at a step of RUN"
        ),
    ],
    acquisition: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Acquisition function after the fork [default: RUN's]"),
    ] = None,
    noise: Noise = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="Protocol after the fork [default: RUN's]")
    ] = None,
    settings: Settings = None,
    title: Title = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """Start a run that shares the first steps of another.

    The oracle answers the remaining steps. RUN is not changed. The fork has RUN's seed, data and
    split. Prints the id of the fork first. Ctrl-C stops it; `dal run --resume` continues it.
    """
    from dal_core.cli import forking

    wanted = forking.Wanted(at, acquisition, noise, protocol, tuple(settings or ()), title or "")
    raise typer.Exit(forking.fork(run, wanted, device=device, home=home, as_json=as_json))


def demo(
    workers: WorkerCount = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """Compute the two runs that the app's guided tour shows.

    BALD and random, in a few minutes. Uses the embedded images, so nothing is downloaded. Ctrl-C
    stops it; the same command continues.
    """
    from dal_core.cli import demo as implementation

    raise typer.Exit(
        implementation.create(workers=workers, device=device, home=home, as_json=as_json)
    )


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None}
