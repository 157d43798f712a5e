"""`dal app`: Streamlit on the `app.py` beside this package, wherever it is started from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dal_core
from dal_core.cli import values
from dal_core.cli.errors import Failed
from dal_core.locks import default_home

APP = Path(dal_core.__file__).resolve().parent.parent / "app.py"


def serve(port: str, home: Path | None, device: str | None) -> None:
    """Become the app's server. Raises WrongUse for a port or home that cannot be."""
    number = values.whole_number("--port", port, 1, 65535)
    where = values.device(device)
    if not APP.is_file():
        raise Failed(f"there is no {APP}; install dal from its source tree with `pip install -e .`")
    if home is not None:
        values.open_store(home, create=True).close()
    sys.stdout.flush()
    # This process becomes the server: signals and the exit code are its own.
    os.execve(sys.executable, arguments(number), environment(home, where))


def arguments(port: int) -> list[str]:
    """The server's command line; it listens on this machine only."""
    server = ["--server.address=localhost", f"--server.port={port}"]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *server]


def environment(home: Path | None, device: str = "cpu") -> dict[str, str]:
    """Ours, with paths that mean the same from any folder, and our packages to be found."""
    made = dict(os.environ)
    made["DAL_DEVICE"] = device
    made["DAL_HOME"] = str((home or default_home()).absolute())
    path = [str(APP.parent), made.get("PYTHONPATH", "")]
    made["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
    return made
