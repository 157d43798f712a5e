"""`dal app`: serve `app.py`, which lies beside this package, with Streamlit."""

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
ELSEWHERE = ("192.0.2.1", 9)  # an address reserved for documentation; nothing is sent there


def serve(port: str, home: Path | None, device: str | None, share: bool = False) -> None:
    """Replace this process with the app's server.

    Args:
        share: listen on the whole network, not only on this machine.

    Raises:
        WrongUse: the port, device or home is not valid.
        Failed: `app.py` is missing.
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
    # This process becomes the server, so signals and the exit code are the server's.
    os.execve(sys.executable, arguments(number, address), environment(home, where))


def arguments(port: int, address: str | None = None) -> list[str]:
    """The server's command line; without an address it listens on this machine only."""
    server = [f"--server.port={port}"]
    if address is None:
        server.append("--server.address=localhost")
    else:
        # Without an explicit address, Streamlit asks an outside service for it.
        server += ["--server.address=0.0.0.0", f"--browser.serverAddress={address}"]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *server]


def warning(address: str, port: int) -> str:
    """One line on the consequences of sharing."""
    return (
        f"Shared: http://{address}:{port} - anybody in your network can open it and label, "
        "and change or delete every run; Ctrl-C ends it."
    )


def network_address() -> str:
    """This machine's address in its network; its host name if there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)  # picks the interface, sends nothing
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def environment(home: Path | None, device: str = "cpu") -> dict[str, str]:
    """The server's environment: this one, with the device, the home and the package path."""
    variables = dict(os.environ)
    variables["DAL_DEVICE"] = device
    variables["DAL_HOME"] = str((home or default_home()).absolute())
    path = [str(APP.parent), variables.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
    return variables
