"""The `dal` command: runs, their results and the data sets, without a browser.

Results go to standard output, everything else to standard error. A command imports its modules
when it runs, so that `dal --help` is fast.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `dal` with these arguments (default: those of the process); returns the exit code."""
    import typer

    from dal_core.cli.commands import command
    from dal_core.cli.errors import INTERRUPTED, describe

    _write_any_text()
    home = os.environ.get("DAL_HOME")  # --home changes it for the length of the command
    try:
        return command().main(arguments, prog_name="dal", standalone_mode=False) or 0
    except typer.TyperException as error:  # a mistake in the command line
        return _print_error(" ".join(error.format_message().split()), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        return _print_error(*describe(error))
    finally:
        if os.environ.get("DAL_HOME") != home:
            os.environ.pop("DAL_HOME")
            os.environ.update({} if home is None else {"DAL_HOME": home})


def _write_any_text() -> None:
    """Where the output cannot hold a character, write its code instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _print_error(line: str, code: int) -> int:
    from dal_core.limits.text import visible

    print(f"dal: {visible(line)}", file=sys.stderr)
    return code
