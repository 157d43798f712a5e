"""Parsing of parameters and seeds that people type, on the command line and on the pages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dal_core.protocol.parameters import ProtocolError
from dal_core.protocol.run_spec import MAX_SEED

MAX_SEEDS = 100  # in one experiment, unless the caller allows more


def parse_settings(texts: Iterable[str]) -> dict[str, str]:
    """Parse KEY=VALUE texts; spaces around key and value are dropped.

    Raises:
        ProtocolError: a text has no key, `=` or value, or a key is given twice.
    """
    settings: dict[str, str] = {}
    for text in texts:
        key, _, value = (part.strip() for part in text.partition("="))
        if not key or not value:
            raise ProtocolError(
                f"parameter {text.strip()!r}; allowed: KEY=VALUE, such as n_epochs=50"
            )
        if key in settings:
            raise ProtocolError(f"parameter {key!r} is set twice; allowed: once")
        settings[key] = value
    return settings


def parse_setting_lines(text: str) -> dict[str, str]:
    """`parse_settings` for the lines of a text; blank lines and comments (# ...) are skipped.

    Raises:
        ProtocolError: as for `parse_settings`.
    """
    lines = (line.strip() for line in text.splitlines())
    return parse_settings(line for line in lines if line and not line.startswith("#"))


def parse_seeds(text: str, at_most: int = MAX_SEEDS) -> tuple[int, ...]:
    """Parse seeds such as `1, 2, 3`, `1 2 3` or `1-10`, in the order given.

    Raises:
        ProtocolError: the text is not a list of seeds, has none or more than `at_most`, or names
            one twice.
    """
    seeds: list[int] = []
    for part in re.split(r"[,\s]", re.sub(r"\s*([-,])\s*", r"\1", text.strip())):
        match = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= MAX_SEED or last - first >= at_most:
            raise ProtocolError(
                f"seeds has {repr(part) if part else 'an empty place'}; allowed: whole numbers "
                f"from 0 to {MAX_SEED}, such as 1, 2, 3 or 1-10, at most {at_most}"
            )
        seeds += range(first, last + 1)
    twice = next((seed for place, seed in enumerate(seeds) if seed in seeds[:place]), None)
    if twice is not None:
        raise ProtocolError(f"seeds has {twice} more than once; allowed: each seed once")
    if len(seeds) > at_most:
        raise ProtocolError(f"seeds has {len(seeds)} seeds; allowed: 1 to {at_most}")
    return tuple(seeds)
