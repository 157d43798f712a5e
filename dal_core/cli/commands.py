"""The whole command line: every command by name, in the order of the help.

A command imports its implementation when it runs, so that help is printed without loading torch,
NumPy or the database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
import typer.main

from dal_core import __version__
from dal_core.cli import computing_commands as computing
from dal_core.cli import home_commands as home

# Plain help: laying it out with rich takes as long as everything else together.
app = typer.Typer(add_completion=False, rich_markup_mode=None)
data_app = typer.Typer(help="Bring in, list, fetch and verify data sets.")
app.add_typer(data_app, name="data")

COMMANDS: Mapping[str, Callable[..., None]] = {
    "run": computing.run,
    "reproduce": computing.reproduce,
    "replay": computing.replay,
    "fork": computing.fork,
    "demo": computing.demo,
    "experiments": home.experiments,
    "report": home.report,
    "runs": home.runs,
    "show": home.show,
    "export": home.export,
    "audit": home.audit,
    "delete": home.delete,
    "doctor": home.doctor,
    "backup": home.backup,
    "restore": home.restore,
    "app": home.app,
}
DATA_COMMANDS: Mapping[str, Callable[..., None]] = {
    "add": home.data_add,
    "list": home.data_list,
    "fetch": home.data_fetch,
    "verify": home.data_verify,
    "remove": home.data_remove,
}
for name, function in COMMANDS.items():
    app.command(name)(function)
for name, function in DATA_COMMANDS.items():
    data_app.command(name)(function)


def command() -> Any:
    """The Click command of the whole command line."""
    return typer.main.get_command(app)


@app.callback(invoke_without_command=True)
def _dal(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version")] = False,
) -> None:
    """Deep active learning: runs answered by a simulated oracle, and the app for people."""
    if version:
        print(f"dal {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@data_app.callback(invoke_without_command=True)
def _data(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
