"""Inputs for the fuzz tests: valid ones, damaged in a few places, and nonsense."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import strategies as st

Edit = tuple[str, int, str]

# What has been trouble in one reader or another.
NASTY = (
    *("[", "]", "{", "}", "[" * 40, "{a: " * 20, "- ", "? ", ": ", "&a ", "*a", "<<: *a", "|"),
    *("!!bool x", "!!timestamp x", "!!python/none", "%TAG", "---", "...", "#", ">", "'", '"', "\\"),
    *("", " ", "\t", "\n", "\r", "\0", "\x1b[2J", "\x7f", "\u2028", "\u202e", "\ud800", "é", "😀"),
    *("0", "-1", "1", "10", "010", "0x1", "0b1", "1_000", "1:30", "2020-01-01", "1.5", "-0.0"),
    *(".nan", ".inf", "-.inf", "NaN", "Infinity", "1e5", "1e400", "1.0e+400", "1e-400"),
    *("9" * 18, "9" * 400, "x" * 300),
    *("null", "true", "yes", "~", "=", "[]", "{}", "[[]]", "{a: 1}", "[1]", "None", "nan", "inf"),
    *("=1+1", "+1", "@a", "'a", ",", ";", '"a', "7.0", "../..", "~nobody/x", "%s", "`"),
)
nasty = st.sampled_from(NASTY) | st.text(max_size=6)
_TOKENS = re.compile(r"(\s+|[\[\]{},:;\"'=-])")


def _apply(parts: Sequence[str], edits: Sequence[Edit]) -> str:
    found = list(parts)
    for kind, place, text in edits:
        at = place % max(1, len(found))
        if kind == "replace" and found:
            found[at] = text
        elif kind == "insert":
            found.insert(at, text)
        elif kind == "drop":
            del found[at : at + 1 + len(text)]
        elif kind == "repeat":
            found[at:at] = found[at : at + 1 + 5 * len(text)]
        elif kind == "cut":
            del found[at:]
    return "".join(found)


def damaged(text: str, most: int = 4) -> st.SearchStrategy[str]:
    """The text with one to `most` tokens replaced, inserted, dropped or repeated, or cut off."""
    parts = [part for part in _TOKENS.split(text) if part]
    kinds = st.sampled_from(("replace", "replace", "replace", "insert", "drop", "repeat", "cut"))
    edit = st.tuples(kinds, st.integers(0, len(parts)), nasty)
    return st.lists(edit, min_size=1, max_size=most).map(lambda edits: _apply(parts, edits))


def damaged_bytes(content: bytes, most: int = 4) -> st.SearchStrategy[bytes]:
    """The bytes with a few of them changed, or cut off, or with more at the end."""
    edit = st.tuples(st.integers(0, len(content)), st.binary(max_size=8), st.booleans())

    def apply(edits: Sequence[tuple[int, bytes, bool]]) -> bytes:
        found = content
        for at, new, cuts in edits:
            found = found[:at] + new + (b"" if cuts else found[at + len(new) :])
        return found

    return st.lists(edit, min_size=1, max_size=most).map(apply)


def encoded(text: str) -> bytes:
    """The text in UTF-8; a lone half of a surrogate pair becomes bytes that are not."""
    return text.encode("utf-8", "surrogatepass")


def values() -> st.SearchStrategy[object]:
    """Anything that JSON can bring, numbers of hundreds of digits and odd texts included."""
    numbers = st.sampled_from((10**400, -(10**400), 1e308, -1, 0, 0.5, float("nan"), float("inf")))
    single = st.none() | st.booleans() | st.integers() | st.floats() | nasty | numbers
    return st.recursive(
        single,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(nasty, inner, max_size=4),
        max_leaves=8,
    )
