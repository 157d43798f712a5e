"""Rules for text from outside: which names are accepted, and how any text is shown on one line."""

from __future__ import annotations

import unicodedata

MAX_NAME = 200  # characters of a title or of a person's name

# Control characters, halves of a surrogate pair, and separators of lines and paragraphs.
_REFUSED = frozenset(("Cc", "Cs", "Zl", "Zp"))
# They reverse the text after them, so that a name reads as another one.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(text: str, what: str) -> str:
    """The name without blanks at its ends: the one rule for titles and people's names.

    Args:
        what: what the name is, for the message: "title", "annotator".

    Raises:
        ValueError: nothing that can be seen is left, there are more than `MAX_NAME` characters, or
            one of them controls a terminal or the direction of the text. The message is one line.
    """
    if not isinstance(text, str):
        raise ValueError(f"{what} is {shown(text)}; allowed: text")
    name = text.strip()
    if all(unicodedata.category(one)[0] in "CZ" for one in name):
        raise ValueError(f"{what} is {shown(text)}; allowed: a name that is not blank")
    if len(name) > MAX_NAME:
        raise ValueError(f"{what} has {len(name)} characters; allowed: at most {MAX_NAME}")
    refused = next((one for one in name if _is_refused(one)), None)
    if refused is not None:
        raise ValueError(
            f"{what} is {shown(name)}, with the character U+{ord(refused):04X}; "
            "allowed: no control characters"
        )
    return name


def clean_title(text: str) -> str:
    """A title by the rule of `clean_name`; blank text means that there is no title.

    Raises:
        ValueError: as for `clean_name`.
    """
    return clean_name(text, "title") if not isinstance(text, str) or text.strip() else ""


def name_from(text: str) -> str:
    """A name that `clean_name` accepts, made from a file's name or other text that is not blank."""
    return visible(text).strip()[:MAX_NAME].rstrip()


def visible(text: str) -> str:
    """The text on one line, with every character that could control a terminal written out."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(one) if _is_refused(one) else one for one in text)


def shown(value: object, most: int = 60) -> str:
    """The value as in code, cut to `most` characters, for a message of one line."""
    try:
        text = visible(repr(value))
    except (ValueError, RecursionError):  # an integer of thousands of digits, a nest of lists
        return f"a value that is too large to show ({type(value).__name__})"
    return text if len(text) <= most else text[: most - 3] + "..."


def _is_refused(one: str) -> bool:
    return unicodedata.category(one) in _REFUSED or one in _DIRECTIONS


def _escaped(one: str) -> str:
    return one.encode("unicode_escape", "surrogatepass").decode("ascii")
