"""Signatures and help of the commands that read and manage a home."""

from __future__ import annotations

from typing import Annotated

import typer

from dal_core.cli.options import DataSetName, Device, Home, Json, OwnName, Run


def experiments(home: Home = None, as_json: Json = False) -> None:
    """List the experiments, newest first."""
    from dal_core.cli import experiments as listing

    listing.show_all(home, as_json)


def report(
    records: Annotated[
        list[str], typer.Argument(metavar="RECORD...", help="Record files or ids of experiments")
    ],
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Folder to write to, created if needed")
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Data set whose images figure 1 shows [default: that of the record]",
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Compare the other records with the first instead of merging all"
        ),
    ] = False,
    calibration: Annotated[
        bool,
        typer.Option(
            "--calibration", help="Also draw NLL, Brier score and calibration error over labels"
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Allow a folder that is not empty")
    ] = False,
    home: Home = None,
) -> None:
    """Write the tables and figures of records to a folder.

    These are tables 2-5 and figures 1-6. Records may be written by dal or have the published form.
    Several records are merged by function and seed, or compared with --compare.
    """
    from dal_core.cli import report as implementation

    implementation.report(
        *(records, out),
        dataset=dataset,
        compare=compare,
        calibration=calibration,
        force=force,
        home=home,
    )


def runs(home: Home = None, as_json: Json = False) -> None:
    """List the runs, newest first."""
    from dal_core.cli import listing

    listing.runs(home, as_json)


def show(run: Run, home: Home = None, as_json: Json = False) -> None:
    """Show a run (protocol, steps, annotators, versions), or an experiment and its runs."""
    from dal_core.cli import showing

    showing.show(run, home, as_json)


def export(
    run: Run,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv or jsonl: the labels; yaml: the record; safetensors: the newest model; "
            "for pictures of your own also metadata-csv, metadata-jsonl, label-studio (labels by "
            "file name), image-folder (a folder for each class), predictions (of the rest)",
        ),
    ],
    out: Annotated[
        str, typer.Option(metavar="FILE", help="File to write, or - for standard output")
    ],
    rest: Annotated[
        bool,
        typer.Option("--rest", help="With labels by file name: also what the model predicts"),
    ] = False,
    link: Annotated[
        bool, typer.Option("--link", help="With image-folder: links instead of copies")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE")] = False,
    home: Home = None,
) -> None:
    """Write a run's labels, record, newest model or predictions to a file.

    The record has the report's form. A model is written with predict.py, a script that uses it
    without dal.
    """
    from dal_core.cli import exporting

    exporting.export(run, form, out, force=force, home=home, rest=rest, link=link)


def audit(
    run: Run,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Labels of audit images: CSV or JSON Lines with file_name and label",
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who gave these labels")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show how accurate a run's models are by its audit, and which images it still needs.

    A run has an audit if its audit_size is above 0: images that are drawn at random, never asked
    for and never trained on.
    """
    from dal_core.cli import audit as implementation

    implementation.audit(run, labels, by, home=home, as_json=as_json)


def delete(
    run: Run,
    yes: Annotated[
        bool, typer.Option("--yes", help="Confirm; without it nothing is deleted")
    ] = False,
    home: Home = None,
) -> None:
    """Delete a run with all its labels, or forget an experiment.

    The runs and the record file of a forgotten experiment are kept. Runs that only it needed stop.
    """
    from dal_core.cli import listing

    listing.delete(run, yes=yes, home=home)


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be rebuilt from the log")
    ] = False,
    home: Home = None,
) -> None:
    """Examine a home: database, logs, records, files, data and space.

    With --fix, records are written again, damaged files and leftovers are removed, and a damaged
    database is rebuilt from the rows that can be read. The exit code is 1 if something is left.
    """
    from dal_core.cli import upkeep

    if code := upkeep.doctor(home, fix):
        raise typer.Exit(code)


def backup(
    target: Annotated[str, typer.Argument(metavar="DEST", help="Folder to write to, new or empty")],
    home: Home = None,
) -> None:
    """Copy a home with all runs and labels, also while the app or a run uses it."""
    from dal_core.cli import upkeep

    upkeep.backup(target, home)


def restore(
    source: Annotated[str, typer.Argument(metavar="BACKUP", help="Folder that `dal backup` made")],
    home: Home = None,
) -> None:
    """Make a home from a backup. The home must be new or empty; the backup stays as it is."""
    from dal_core.cli import upkeep

    upkeep.restore(source, home)


def app(
    port: Annotated[str, typer.Option(metavar="N", help="Port to listen on")] = "8501",
    share: Annotated[
        bool,
        typer.Option(
            "--share",
            help="Serve the whole network, such as a phone; whoever has the printed code can label",
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="Answer to this name too, such as a reverse proxy's; may be repeated",
        ),
    ] = None,
    device: Device = None,
    home: Home = None,
) -> None:
    """Serve the app until Ctrl-C, by default to this machine only."""
    from dal_core.cli import serving

    serving.serve(port, home, device, share, allow_host or ())


def data_add(
    source: Annotated[
        str, typer.Argument(metavar="FOLDER|ZIP", help="Pictures; they are read, never changed")
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the data set")],
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="A,B,...",
            help="The classes [default: the names of the sub-folders, or the labels]",
        ),
    ] = None,
    classes_from: Annotated[
        str | None,
        typer.Option("--classes-from", metavar="FILE", help="The classes, one a line"),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Labels: CSV or JSON Lines with file_name and label, or Label Studio's JSON "
            "[default: metadata.csv or metadata.jsonl among the pictures, else sub-folders]",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size", metavar="PIXELS", help="28, 32 or 64 [default: as the pictures suggest]"
        ),
    ] = None,
    grey: Annotated[
        bool | None,
        typer.Option("--grey/--rgb", help="Channels [default: as the pictures suggest]"),
    ] = None,
    idx: Annotated[
        bool,
        typer.Option("--idx", help="The folder holds IDX files with MNIST's names, such as EMNIST"),
    ] = False,
    transposed: Annotated[
        bool | None,
        typer.Option(
            "--transposed/--upright",
            help="Whether IDX pictures have rows and columns exchanged [default: for EMNIST]",
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Bring in a folder or zip of pictures as a data set to label.

    Prints what was taken, what not, and why. If it is interrupted, the same command continues.
    """
    from dal_core.cli import own_data

    own_data.add(
        source,
        name,
        own_data.Given(classes, classes_from, labels, size, grey, idx, transposed),
        home,
    )


def data_remove(
    name: OwnName,
    yes: Annotated[
        bool, typer.Option("--yes", help="Confirm; without it nothing is removed")
    ] = False,
    home: Home = None,
) -> None:
    """Remove a data set that was brought in; the pictures it was made from stay."""
    from dal_core.cli import own_data

    own_data.remove(name, yes=yes, home=home)


def data_list(home: Home = None) -> None:
    """List the data sets and where they are stored."""
    from dal_core.cli import data

    data.show_all()


def data_fetch(name: DataSetName) -> None:
    """Download a data set, unless it is already complete."""
    from dal_core.cli import data

    data.fetch(name)


def data_verify(name: DataSetName) -> None:
    """Read a whole data set and check that it is the published one."""
    from dal_core.cli import data

    data.verify(name)
