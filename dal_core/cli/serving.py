"""`dal app`: Streamlit on the `app.py` beside this package, wherever it is started from."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import dal_core
from dal_core.cli import values
from dal_core.cli.errors import Failed
from dal_core.store.home import default_home

APP = Path(dal_core.__file__).resolve().parent.parent / "app.py"


ELSEWHERE = ("192.0.2.1", 9)  # an address for documentation: nothing is sent there


def serve(port: str, home: Path | None, device: str | None, share: bool = False) -> None:
    """Become the app's server. Raises WrongUse for a port or home that cannot be.

    Args:
        share: listen to the network too, not to this machine alone.
    """
    number = values.whole_number("--port", port, 1, 65535)
    where = values.device(device)
    if not APP.is_file():
        raise Failed(f"there is no {APP}; install dal from its source tree with `pip install -e .`")
    if home is not None:
        values.open_store(home, create=True).close()
    address = network_address() if share else None
    if address is not None:
        print(warning(address, number))
    sys.stdout.flush()
    # This process becomes the server: signals and the exit code are its own.
    os.execve(sys.executable, arguments(number, address), environment(home, where))


def arguments(port: int, address: str | None = None) -> list[str]:
    """The server's command line; without an address in the network it hears this machine only."""
    server = [f"--server.port={port}"]
    if address is None:
        server.append("--server.address=localhost")
    else:
        # Told its own address, the server asks nobody outside for it.
        server += ["--server.address=0.0.0.0", f"--browser.serverAddress={address}"]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *server]


def warning(address: str, port: int) -> str:
    """What sharing means, in one line."""
    return (
        f"Shared: http://{address}:{port} - anybody in your network can open it and label, "
        "and change or delete every run; Ctrl-C ends it."
    )


def network_address() -> str:
    """This machine's address in its network, or its name where it has none at present."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)  # chooses the way there, sends nothing
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def environment(home: Path | None, device: str = "cpu") -> dict[str, str]:
    """Ours, with paths that mean the same from any folder, and our packages to be found."""
    made = dict(os.environ)
    made["DAL_DEVICE"] = device
    made["DAL_HOME"] = str((home or default_home()).absolute())
    path = [str(APP.parent), made.get("PYTHONPATH", "")]
    made["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
    return made
