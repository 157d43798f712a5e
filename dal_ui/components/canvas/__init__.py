"""A small canvas to draw on: a Streamlit component (v2).

`ImageDataset.from_drawing` makes an image of the data set's kind out of the drawing.
"""

from __future__ import annotations

import base64
import io
from functools import cache
from importlib.resources import files

import numpy as np
import streamlit as st
from PIL import Image

from dal_core.limits.text import shown

SIDE = 140  # pixels of the drawing that is sent
MAX_CHARACTERS = 60_000  # of base64: a canvas full of noise has fewer
_PREFIX = "data:image/png;base64,"


def drawing_canvas(noun: str, key: str = "drawing_canvas") -> np.ndarray | None:
    """Show the canvas; returns the drawing so far, which is sent after every stroke.

    Args:
        noun: what to draw, such as "digit".

    Returns:
        uint8 [SIDE, SIDE], 0 where nothing is drawn; None for an empty canvas.

    Raises:
        ValueError: the browser sent something other than a drawing.
    """
    # Registered here and not on import: a registration outside a script run is lost to it.
    component = st.components.v2.component("dal_drawing_canvas", js=_asset("js"), css=_asset("css"))
    result = component(key=key, data={"side": SIDE, "noun": noun}, on_drawing_change=_nothing)
    return read_drawing(result.drawing)


def read_drawing(raw: object) -> np.ndarray | None:
    """The drawing in a message of the canvas, which is a PNG of SIDE x SIDE as a data URI.

    Returns:
        As `drawing_canvas`.

    Raises:
        ValueError: the message is something else; one line.
    """
    if raw is None or raw == "":
        return None
    if not isinstance(raw, str) or not raw.startswith(_PREFIX) or len(raw) > MAX_CHARACTERS:
        raise ValueError(f"drawing is {shown(raw)}; allowed: a small PNG as a data URI")
    try:
        data = base64.b64decode(raw[len(_PREFIX) :], validate=True)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            size = image.size
            ink = np.asarray(image.convert("L")) if size == (SIDE, SIDE) else None
    except Exception as error:  # Pillow fails in many ways on a damaged image
        raise ValueError(f"drawing is no PNG: {shown(str(error))}") from None
    if ink is None:
        raise ValueError(f"drawing is {size}; allowed: {SIDE} x {SIDE} pixels")
    return ink if ink.any() else None


@cache
def _asset(kind: str) -> str:
    return (files(__package__) / f"canvas.{kind}").read_text(encoding="utf-8")


def _nothing() -> None:
    """The page reads the drawing from the return value of `drawing_canvas`."""
