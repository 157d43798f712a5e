"""Reads JSON from outside: no name twice, no number beyond all bounds, no deep nest."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
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
        return _decoder().decode(text)
    except json.JSONDecodeError as error:
        raise Malformed(f"{error.msg}, character {error.pos + 1}") from None
    except RecursionError:
        raise Refused("it is nested too deeply") from None


def read_json_list(text: str, most: int) -> Iterator[Any]:
    """The values of a JSON list, one by one, so that a long list needs no long parse.

    Args:
        most: the number of values allowed. Each is within the limits of `read_json`.

    Raises:
        Malformed: the text is not a JSON list.
        Refused: as `read_json`, or there are more values.
    """
    decoder, place, n_values = _decoder(), _after_blank(text, 0), 0
    if text[place : place + 1] != "[":
        raise Malformed("it is not a list")
    place = _after_blank(text, place + 1)
    while text[place : place + 1] != "]" or n_values:
        n_values += 1
        if n_values > most:
            raise Refused(f"it has more than {most:,} values")
        try:
            value, end = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise Malformed(f"{error.msg}, character {error.pos + 1}") from None
        except RecursionError:
            raise Refused("it is nested too deeply") from None
        if end - place > MAX_CHARACTERS:
            raise Refused(
                f"value {n_values} has {end - place} characters; allowed: {MAX_CHARACTERS}"
            )
        yield value
        place = _after_blank(text, end)
        if text[place : place + 1] == "]":
            break
        if text[place : place + 1] != ",":
            raise Malformed(f"a comma or ] is missing, character {place + 1}")
        place = _after_blank(text, place + 1)
    if _after_blank(text, place + 1) != len(text):
        raise Malformed(f"something follows the list, character {place + 2}")


def _after_blank(text: str, place: int) -> int:
    """The first place from here that is not blank."""
    while text[place : place + 1] in (" ", "\t", "\n", "\r"):
        place += 1
    return place


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_object,
        parse_int=_whole,
        parse_float=_fraction,
        parse_constant=_no_number,
    )


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
