"""Which Host and Origin headers a request may carry; pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_served(host: str | None, allowed: Sequence[str]) -> bool:
    """Whether the server answers to this Host.

    A page elsewhere whose name is made to point at this machine (DNS rebinding) is refused: its
    requests still carry its own name. The port is ignored, so that an SSH tunnel works.

    Args:
        allowed: names and addresses, in the form of Streamlit's `server.allowedHosts`: "*.lab.org"
            stands for every name below lab.org, "*" for every name.
    """
    name = host_name(host)
    return name is not None and any(_matches(name, pattern) for pattern in (*LOOPBACK, *allowed))


def is_same_origin(origin: str | None, host: str | None) -> bool:
    """Whether a request comes from a page of this server, the port included.

    A request without an Origin does not come from a page's script, except to read what the page
    cannot see.
    """
    if origin is None:
        return True
    parts = _split(origin)
    return (
        parts is not None
        and parts.scheme in ("http", "https")
        and host is not None
        and parts.netloc.lower() == host.lower()
    )


def host_name(host: str | None) -> str | None:
    """The name in a Host header, without its port; None where it is not a name."""
    parts = None if host is None else _split(f"//{host}")
    if parts is None or parts.netloc != host or parts.hostname is None or "@" in host:
        return None
    return parts.hostname.rstrip(".") or None


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is no number from 0 to 65535
    except ValueError:
        return None
    return parts


def _matches(name: str, pattern: str) -> bool:
    wanted = pattern.strip().lower().strip("[]").rstrip(".")
    if wanted.startswith("*."):
        return name.endswith(wanted[1:])
    return wanted == "*" or name == wanted
