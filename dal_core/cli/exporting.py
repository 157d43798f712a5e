"""`dal export`: where an export is written; what it holds is `dal_core.export`'s."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from dal_core import datasets
from dal_core import export as exports
from dal_core.cli import values
from dal_core.cli.errors import Failed, WrongUse


def export(text: str, form: str, out: str, *, force: bool, home: Path | None) -> None:
    """Write the run to `out`, whole or not at all. Raises WrongUse before anything is written."""
    values.one_of("--format", form, exports.FORMATS)
    if out != "-":
        _check(Path(out), force)
    store = values.open_store(home, create=False)
    log = store.log(values.find_run(store, text).run_id)
    dataset = datasets.load(log.run.spec.protocol.dataset)
    content = exports.render(log, dataset, form)
    if out == "-":
        sys.stdout.write(content)
    else:
        _write(Path(out), content)
        print(f"wrote {out}", file=sys.stderr)


def _check(path: Path, force: bool) -> None:
    if path.is_dir():
        raise WrongUse(f"--out is '{path}', a folder; allowed: a file, or - for standard output")
    if not path.parent.is_dir():
        raise WrongUse(f"--out is '{path}'; allowed: a file in a folder that exists")
    if path.exists() and not force:
        raise WrongUse(f"--out is '{path}', which exists; allowed: a new file, or add --force")


def _write(path: Path, content: str) -> None:
    """Under a temporary name first, so that a full disk leaves no half of a file."""
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise Failed(f"--out is '{path}', which cannot be written: {error.strerror}") from None
