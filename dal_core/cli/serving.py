"""`dal app`: serve `app.py`, which lies beside this package, with Streamlit."""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import dal_core
from dal_core.cli import values
from dal_core.cli.errors import Failed, WrongUse
from dal_core.store.home import default_home

APP = Path(dal_core.__file__).resolve().parent.parent / "app.py"
ELSEWHERE = ("192.0.2.1", 9)  # an address reserved for documentation; nothing is sent there
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CODE_SIGNS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that looks like another
CODE_LENGTH = 10  # with the server's limit on wrong codes, centuries of guessing
_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9a-fA-F:.]+")


def serve(
    port: str,
    home: Path | None,
    device: str | None,
    share: bool = False,
    hosts: Sequence[str] = (),
) -> None:
    """Replace this process with the app's server.

    Args:
        share: listen on the whole network, not only on this machine, and ask for a code.
        hosts: further names that the server answers to.

    Raises:
        WrongUse: the port, a host, the device or the home is not valid.
        Failed: `app.py` is missing.
    """
    number = values.whole_number("--port", port, 1, 65535)
    for name in hosts:
        if not _HOST.fullmatch(name):
            raise WrongUse(
                f"--allow-host is {name!r}; allowed: a host name or an address without a port, "
                "such as label.example.org or *.example.org"
            )
    where = values.device(device)
    if not APP.is_file():
        raise Failed(f"there is no {APP}; install dal from its source tree with `pip install -e .`")
    if home is not None:
        values.open_store(home, create=True).close()
    address, variables = None, environment(home, where)
    if share:
        address, code = network_address(), new_code()
        variables["DAL_SHARE_CODE"] = code
        print(warning(address, number, code))
    sys.stdout.flush()
    # This process becomes the server, so signals and the exit code are the server's.
    os.execve(sys.executable, arguments(number, address, hosts), variables)


def arguments(port: int, address: str | None = None, hosts: Sequence[str] = ()) -> list[str]:
    """The server's command line; without an address it listens on this machine only."""
    server = [f"--server.port={port}"]
    served = (*LOOPBACK, *((address,) if address else ()), *hosts)
    server += [f"--server.allowedHosts={name}" for name in served]
    if address is None:
        server.append("--server.address=localhost")
    else:
        # Without an explicit address, Streamlit asks an outside service for it.
        server += ["--server.address=0.0.0.0", f"--browser.serverAddress={address}"]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *server]


def warning(address: str, port: int, code: str) -> str:
    """One line on the consequences of sharing."""
    return (
        f"Shared: http://{address}:{port} with the code {code} - whoever has the code can label, "
        "and change or delete every run; Ctrl-C ends it."
    )


def new_code() -> str:
    """A random code to type, in two halves."""
    signs = "".join(secrets.choice(CODE_SIGNS) for _ in range(CODE_LENGTH))
    return f"{signs[: CODE_LENGTH // 2]}-{signs[CODE_LENGTH // 2 :]}"


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
    variables.pop("DAL_SHARE_CODE", None)  # another server's
    variables["DAL_DEVICE"] = device
    variables["DAL_HOME"] = str((home or default_home()).absolute())
    path = [str(APP.parent), variables.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
    return variables
