"""What the browser remembers between visits: cookies of this app, written by a component (v2).

Python reads them as `st.context.cookies`, which holds what the browser had when it connected.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import streamlit as st


def remember(values: Mapping[str, str], key: str = "browser_memory") -> None:
    """Let the browser keep these values for a year, each in a cookie of its name. Shows nothing.

    Read them with `urllib.parse.unquote`, since they are written percent-encoded.
    """
    # Registered here and not on import: a registration outside a script run is lost to it.
    component = st.components.v2.component("dal_browser_memory", js=_script())
    component(key=key, data={"values": dict(values)})


@cache
def _script() -> str:
    return (files(__package__) / "memory.js").read_text(encoding="utf-8")
