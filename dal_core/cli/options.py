"""Options and arguments that several commands share.

Numbers are taken as text and parsed in `values`, so that all error messages have the same form.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dal_core.cli.errors import WrongUse
from dal_core.limits.paths import given_path
from dal_core.limits.refused import Refused
from dal_core.protocol import posteriors


def _home(text: str) -> Path:
    """The home, also for whatever looks for it in the environment, until the command ends."""
    try:
        path = given_path(text, "--home")
    except Refused as error:
        raise WrongUse(str(error)) from None
    os.environ["DAL_HOME"] = text
    return path


Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Folder that holds the runs [default: $DAL_HOME or runs]",
        parser=_home,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]
JsonObject = Annotated[
    bool, typer.Option("--json", help="Print only the result, as one JSON object")
]
DataSet = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="mnist, mnist5k or one of your own [default: that of the protocol]",
    ),
]
Posterior = Annotated[
    str | None,
    typer.Option(
        "--posterior",
        metavar="NAME",
        help=f"How to sample predictions: {', '.join(posteriors.names())} "
        "[default: that of the protocol]",
    ),
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
        "--noise",
        metavar="P",
        help="Probability that the oracle answers wrongly [default: 0]",
    ),
]
Title = Annotated[str | None, typer.Option("--title", metavar="TEXT", help="Title shown in lists")]
WorkerCount = Annotated[
    str | None,
    typer.Option("--workers", metavar="N", help="Worker processes [default: one per core]"),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or the start of the id")]
DataSetName = Annotated[str, typer.Argument(metavar="NAME", help="As `dal data list` shows")]
OwnName = Annotated[str, typer.Argument(metavar="NAME", help="Name of one of your data sets")]
