"""The `dal` command: runs, their results and the data sets, without a browser.

Owns: options, what is printed, exit codes (`errors`). Does not own: what a run does (`worker`),
what a parameter may be (`protocol`), what an export holds (`export`). Standard output carries
results, standard error everything else. Nothing heavy is imported before a command needs it, so
that `dal --help` is there at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `dal` with these arguments (default: the process's own); returns the exit code."""
    import typer

    from dal_core.cli.commands import command
    from dal_core.cli.errors import INTERRUPTED, describe

    try:
        return command().main(arguments, prog_name="dal", standalone_mode=False) or 0
    except typer.TyperException as error:  # the command line itself is wrong
        return _complain(" ".join(error.format_message().split()), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        return _complain(*describe(error))


def _complain(line: str, code: int) -> int:
    print(f"dal: {line}", file=sys.stderr)
    return code
