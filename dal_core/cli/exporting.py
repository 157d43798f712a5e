"""`dal export`: check the output path and write what `dal_core.exchange` returns."""

from __future__ import annotations

import sys
from pathlib import Path

from dal_core.atomic import write_atomically
from dal_core.cli import values
from dal_core.cli.errors import Failed, WrongUse
from dal_core.data import catalogue
from dal_core.exchange import labels_out as exports
from dal_core.exchange.pictures_out import FOLDERS
from dal_core.exchange.pictures_out import FORMATS as PICTURE_FORMATS
from dal_core.limits.text import visible
from dal_core.run.state import RunState
from dal_core.store.base import Store

MODEL_FORMAT = "safetensors"


def export(
    text: str,
    form: str,
    out: str,
    *,
    force: bool,
    home: Path | None,
    rest: bool = False,
    link: bool = False,
) -> None:
    """Write a run to the file `out` atomically, or to standard output if `out` is "-".

    Raises:
        WrongUse: an argument is not valid; nothing is written.
        Failed: the file cannot be written.
    """
    allowed = (*exports.FORMATS, MODEL_FORMAT, *PICTURE_FORMATS, FOLDERS)
    values.one_of("--format", form, allowed)
    _check_options(form, rest, link)
    to = values.path("--out", out)
    if form == FOLDERS:
        from dal_core.cli import exporting_pictures

        exporting_pictures.folders(text, to, home=home, rest=rest, link=link)
        return
    if out != "-":
        _check(to, force)
    store = values.open_store(home, create=False)
    log = store.log(values.find_run(store, text).run_id)
    if form == MODEL_FORMAT:
        content = _model(store, text, log)
    elif form in PICTURE_FORMATS:
        from dal_core.cli import exporting_pictures

        content = exporting_pictures.rendered(store.home, text, log, form, rest).encode()
    else:
        dataset = catalogue.load(log.run.spec.protocol.dataset)
        content = exports.render(log, dataset, form).encode()
    if out == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    _write(to, content)
    print(f"wrote {visible(out)}", file=sys.stderr)
    if form == MODEL_FORMAT:
        _write_script(to.with_name("predict.py"))


def _check_options(form: str, rest: bool, link: bool) -> None:
    by_name = [one for one in (*PICTURE_FORMATS, FOLDERS) if one != "predictions"]
    if rest and form not in by_name:
        raise WrongUse(f"--rest is given with --format {form}; allowed: {', '.join(by_name)}")
    if link and form != FOLDERS:
        raise WrongUse(f"--link is given with --format {form}; allowed: {FOLDERS}")


def _model(store: Store, text: str, log: RunState) -> bytes:
    from dal_core.exchange.model import NoModel, model_bytes

    try:
        return model_bytes(store.home, log)
    except NoModel as error:
        raise WrongUse(f"RUN is {text!r}; {error}; allowed: a run that has been fitted") from None


def _write_script(path: Path) -> None:
    """Write the example script beside the model, unless the file exists."""
    from dal_core.exchange.model import predict_script

    if path.exists():
        print(f"kept the existing {path}", file=sys.stderr)
        return
    _write(path, predict_script().encode())
    print(f"wrote {path}, an example that uses the model", file=sys.stderr)


def _check(path: Path, force: bool) -> None:
    if path.is_dir():
        raise WrongUse(f"--out is '{path}', a folder; allowed: a file, or - for standard output")
    if not path.parent.is_dir():
        raise WrongUse(f"--out is '{path}'; allowed: a file in a folder that exists")
    if path.exists() and not force:
        raise WrongUse(f"--out is '{path}', which exists; allowed: a new file, or add --force")


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise Failed(f"--out is '{path}', which cannot be written: {error.strerror}") from None
