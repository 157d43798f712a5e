"""The code of a shared server: asked for once, then remembered in a cookie.

A person types the code once; the browser gets a random token in its place. Wrong codes are counted,
per address and in all, so that nobody can try them out.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 600
TRIES_PER_ADDRESS = 10  # wrong codes within the window
TRIES_IN_ALL = 100
MAX_TOKENS = 1000  # the oldest is forgotten first


class Gate:
    """Who may pass: holders of a token, and whoever types the code."""

    def __init__(self, code: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ValueError: the code is blank."""
        if not plain_code(code):
            raise ValueError(f"code is {code!r}; allowed: letters and digits")
        self._code = plain_code(code).encode()
        self._clock = clock
        self._tokens: dict[bytes, None] = {}  # digests: a comparison of them tells nothing
        self._wrong: deque[tuple[float, str]] = deque()  # when, from which network

    def knows(self, token: str | None) -> bool:
        """Whether the token was given to somebody who typed the code."""
        return token is not None and _digest(token) in self._tokens

    def seconds_to_wait(self, address: str) -> int:
        """Until a code may be tried again; 0: now."""
        now = self._clock()
        while self._wrong and self._wrong[0][0] <= now - WINDOW_SECONDS:
            self._wrong.popleft()
        mine = [at for at, network in self._wrong if network == _network(address)]
        every = [at for at, _ in self._wrong]
        first = [mine[-TRIES_PER_ADDRESS]] if len(mine) >= TRIES_PER_ADDRESS else []
        first += [every[-TRIES_IN_ALL]] if len(every) >= TRIES_IN_ALL else []
        return int(max(first) + WINDOW_SECONDS - now) + 1 if first else 0

    def enter(self, typed: str, address: str) -> str | None:
        """A new token for the right code; None for a wrong one, or where nobody may try now."""
        if self.seconds_to_wait(address):
            return None
        if not hmac.compare_digest(plain_code(typed).encode(), self._code):
            self._wrong.append((self._clock(), _network(address)))
            return None
        token = secrets.token_urlsafe(32)
        self._tokens[_digest(token)] = None
        if len(self._tokens) > MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        return token


def plain_code(text: str) -> str:
    """A code as it is compared: capital letters and digits, without hyphens and blanks."""
    return "".join(sign for sign in text.upper() if sign.isalnum())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _network(address: str) -> str:
    """Whose tries are counted together: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    mapped = ip.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((ip, 64), strict=False))
