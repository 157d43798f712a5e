"""Every command with its options and help: signatures only, the work is in the other modules.

They are imported inside the commands: the help of all commands is printed without torch, NumPy
or the database. Numbers arrive as text and are read in `values`, so that a wrong one is
answered in the same words as any other wrong value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

from dal_core import __version__
from dal_core.acquisition import registry

# Plain help: laying it out with rich costs as long as everything else together.
app = typer.Typer(add_completion=False, rich_markup_mode=None)
data_app = typer.Typer(help="The data sets: list, fetch, verify.")
app.add_typer(data_app, name="data")

Home = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Where runs are kept [default: $DAL_HOME or runs]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]
JsonObject = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, and only that")
]
DataSet = Annotated[
    str | None,
    typer.Option("--dataset", metavar="NAME", help="mnist or mnist5k [default: the protocol's]"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a parameter; may be repeated"),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="NAME", help="Where to compute: auto, cpu, cuda or mps [default: cpu]"
    ),
]
Noise = Annotated[
    str | None,
    typer.Option(
        "--noise", metavar="P", help="Probability of a wrong answer of the oracle [default: 0]"
    ),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or how it begins")]


def command() -> Any:
    """The whole command line as one object, ready to be called with arguments."""
    return typer.main.get_command(app)


@app.callback(invoke_without_command=True)
def _dal(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version")] = False,
) -> None:
    """Deep active learning: runs answered by the simulated oracle, and the app for people."""
    if version:
        print(f"dal {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command("run")
def _run(
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
    seed: Annotated[
        str | None, typer.Option(metavar="N", help="Of every random draw [default: 1]")
    ] = None,
    dataset: DataSet = None,
    noise: Noise = None,
    settings: Settings = None,
    until_labels: Annotated[
        str | None, typer.Option(metavar="N", help="Stop before there are more labels")
    ] = None,
    until_accuracy: Annotated[
        str | None,
        typer.Option(metavar="A", help="Stop at this test accuracy, above 0 to 1"),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with this run; only the two stop rules may change"),
    ] = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """One run, answered by the simulated oracle.

    Prints the run's id first, then progress; the last line is the result. Ctrl-C stops it
    (exit code 130) and costs no more than the step in hand: `dal run --resume RUN` goes on.
    """
    from dal_core.cli import run

    typed = {
        "protocol": protocol,
        "acquisition": acquisition,
        "seed": seed,
        "dataset": dataset,
        "noise": noise,
    }
    given: dict[str, Any] = {name: text for name, text in typed.items() if text is not None}
    if settings:
        given["set"] = tuple(settings)
    stops = run.Stops(until_labels, until_accuracy)
    code = run.run(given, stops, resume=resume, device=device, home=home, as_json=as_json)
    raise typer.Exit(code)


@app.command("reproduce")
def _reproduce(
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="report, released, gal2017 or quick [default: report]"),
    ] = None,
    dataset: DataSet = None,
    acquisitions: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Functions [default: the report's five]"),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="1,2,3", help="One run of each function with each")
    ] = None,
    full_data: Annotated[
        bool | None,
        typer.Option(
            "--full-data/--no-full-data",
            help="Train on all images too, once a seed [default: --full-data]",
        ),
    ] = None,
    noise: Noise = None,
    settings: Settings = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="What to call it")] = None,
    workers: Annotated[
        str | None, typer.Option(metavar="N", help="Processes [default: one per core]")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="EXPERIMENT", help="Go on with this one: its id, or how it begins"),
    ] = None,
    lockstep: Annotated[
        bool | None,
        typer.Option(
            "--lockstep/--no-lockstep",
            help="All runs as one batch of models, in one process [default: on cuda]",
        ),
    ] = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """A whole experiment: functions x seeds and the full-data bounds, all at once.

    Prints the experiment's id first, then a live table. Ctrl-C stops it (exit code 130) and costs
    no more than the steps in hand: `dal reproduce --resume EXPERIMENT` goes on.
    """
    from dal_core.cli import reproduce

    typed = {
        "protocol": protocol,
        "dataset": dataset,
        "acquisitions": acquisitions,
        "seeds": seeds,
        "full_data": full_data,
        "noise": noise,
        "title": title,
    }
    given: dict[str, Any] = {name: value for name, value in typed.items() if value is not None}
    if settings:
        given["set"] = tuple(settings)
    raise typer.Exit(
        reproduce.reproduce(
            given,
            resume=resume,
            workers=workers,
            device=device,
            lockstep=lockstep,
            home=home,
            as_json=as_json,
        )
    )


@app.command("replay")
def _replay(
    labels: Annotated[
        str, typer.Argument(metavar="LABELS", help="File of labels, CSV or JSON lines; or a run")
    ],
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="report, released, gal2017 or quick [default: the run's; of a file quick]",
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(metavar="N", help="Of every random draw [default: the run's; of a file 1]"),
    ] = None,
    acquisition: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What asked, for the record [default: the run's; of a file bald]"
        ),
    ] = None,
    dataset: DataSet = None,
    settings: Settings = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="What to call it")] = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """Fit labels again, step by step, to the curve they give: those of `dal export`, or a run's.

    Corrected labels give the whole curve anew. Prints the id of the new run first, then
    progress; the last line is the result. Stopped or killed, the same command goes on.
    """
    from dal_core.cli import refit

    wanted = refit.Wanted(protocol, acquisition, seed, dataset, tuple(settings or ()), title)
    raise typer.Exit(refit.replay(labels, wanted, device=device, home=home, as_json=as_json))


@app.command("fork")
def _fork(
    run: Run,
    at: Annotated[str, typer.Option("--at", metavar="N", help="Labels they share: a step of RUN")],
    acquisition: Annotated[
        str | None, typer.Option(metavar="NAME", help="Function from there on [default: RUN's]")
    ] = None,
    noise: Noise = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="Protocol from there on [default: RUN's]")
    ] = None,
    settings: Settings = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="What to call it")] = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """A new run that begins with the history of another, answered by the oracle to its end.

    RUN stays as it is. Seed, data and the division of the images must be RUN's. Prints the new
    run's id first; Ctrl-C stops it and `dal run --resume` goes on.
    """
    from dal_core.cli import forking

    wanted = forking.Wanted(at, acquisition, noise, protocol, tuple(settings or ()), title or "")
    raise typer.Exit(forking.fork(run, wanted, device=device, home=home, as_json=as_json))


@app.command("demo")
def _demo(
    workers: Annotated[
        str | None, typer.Option(metavar="N", help="Processes [default: one per core]")
    ] = None,
    device: Device = None,
    home: Home = None,
    as_json: JsonObject = False,
) -> None:
    """Create the two runs that the app's guided tour shows: BALD and random, in a few minutes.

    Uses the embedded digits: nothing is downloaded. Ctrl-C stops it, the same command goes on.
    """
    from dal_core.cli import demo

    raise typer.Exit(demo.create(workers=workers, device=device, home=home, as_json=as_json))


@app.command("experiments")
def _experiments(home: Home = None, as_json: Json = False) -> None:
    """List the experiments, newest first."""
    from dal_core.cli import experiments

    experiments.show_all(home, as_json)


@app.command("report")
def _report(
    records: Annotated[
        list[str], typer.Argument(metavar="RECORD...", help="Record files or ids of experiments")
    ],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Folder to write, made if needed")],
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose digits figure 1 shows [default: the record's]"),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Draw the others beside the first instead of merging all"),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty")
    ] = False,
    home: Home = None,
) -> None:
    """Write tables 2-5 and figures 1-6 of records, ours or published, into a folder.

    Several records are merged by function and seed, or compared with --compare.
    """
    from dal_core.cli import report

    report.report(records, out, dataset=dataset, compare=compare, force=force, home=home)


@app.command("runs")
def _runs(home: Home = None, as_json: Json = False) -> None:
    """List the runs, newest first."""
    from dal_core.cli import listing

    listing.runs(home, as_json)


@app.command("show")
def _show(run: Run, home: Home = None, as_json: Json = False) -> None:
    """One run: its protocol, its steps, who labelled, with what it was computed."""
    from dal_core.cli import showing

    showing.show(run, home, as_json)


@app.command("export")
def _export(
    run: Run,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv or jsonl: the labels; yaml: the record; safetensors: the newest model",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="File to write, - for standard output")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE")] = False,
    home: Home = None,
) -> None:
    """Write a run's labels, its record in the report's form, or its newest model to a file.

    Beside a model lies predict.py, which shows how to use it without dal.
    """
    from dal_core.cli import exporting

    exporting.export(run, form, out, force=force, home=home)


@app.command("delete")
def _delete(
    run: Run,
    yes: Annotated[bool, typer.Option("--yes", help="Without it nothing is deleted")] = False,
    home: Home = None,
) -> None:
    """Delete a run with all its labels, for good; or forget an experiment, whose runs stay."""
    from dal_core.cli import listing

    listing.delete(run, yes=yes, home=home)


@app.command("app")
def _app(
    port: Annotated[str, typer.Option(metavar="N", help="Port of this machine")] = "8501",
    share: Annotated[
        bool, typer.Option("--share", help="For the whole network, a phone say: all may label")
    ] = False,
    device: Device = None,
    home: Home = None,
) -> None:
    """Start the app and serve it until Ctrl-C; without --share for this machine only."""
    from dal_core.cli import serving

    serving.serve(port, home, device, share)


@data_app.callback(invoke_without_command=True)
def _data(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


Name = Annotated[str, typer.Argument(metavar="NAME", help="mnist or mnist5k")]


@data_app.command("list")
def _data_list() -> None:
    """The data sets and where they lie."""
    from dal_core.cli import data

    data.show_all()


@data_app.command("fetch")
def _data_fetch(name: Name) -> None:
    """Download a data set; one that is whole already is left alone."""
    from dal_core.cli import data

    data.fetch(name)


@data_app.command("verify")
def _data_verify(name: Name) -> None:
    """Read a whole data set and compare it with what was published."""
    from dal_core.cli import data

    data.verify(name)
