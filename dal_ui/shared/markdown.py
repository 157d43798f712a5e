"""Text from people and files, made safe for Markdown."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"([&\\`*_{}\[\]()#+.!<>|~$:-])")


def plain(text: str) -> str:
    """Text for use in Markdown that is shown literally, whatever it holds."""
    return _MARKUP.sub(r"\\\1", text)
