"""Reads JSON from outside: no name twice, no number beyond all bounds, no deep nest."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn

from dal_core.limits.refused import Malformed, Refused
from dal_core.limits.text import shown

MAX_CHARACTERS, MAX_BRACKETS, MAX_DIGITS = 100_000, 1_000, 18


def read_json(text: str) -> Any:
    """The JSON value of a short text, such as one line of a file.

    Raises:
        Malformed: the text is not JSON.
        Refused: it is too long or nested, has a name twice, or a number is not finite or has too
            many digits. Both messages are one line.
    """
    if len(text) > MAX_CHARACTERS:
        raise Refused(f"it has {len(text)} characters; allowed: {MAX_CHARACTERS}")
    if text.count("[") + text.count("{") > MAX_BRACKETS:
        raise Refused(f"it has more than {MAX_BRACKETS} brackets")
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_fraction,
            parse_constant=_no_number,
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"{error.msg}, character {error.pos + 1}") from None
    except RecursionError:
        raise Refused("it is nested too deeply") from None


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(f"it has the name {shown(twice)} twice; allowed: once")
    return found


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS + 1:
        raise Refused(f"it has a number of {len(text)} digits; allowed: {MAX_DIGITS}")
    return int(text)


def _fraction(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Refused(f"it has the number {shown(text)}; allowed: finite numbers")
    return value


def _no_number(name: str) -> NoReturn:
    raise Refused(f"it has the number {name}; allowed: finite numbers")
