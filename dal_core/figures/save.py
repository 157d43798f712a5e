"""Saves a chart as SVG, PNG and PDF (with vl-convert), and its numbers as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from dal_core.results.formats import csv

FORMATS = ("svg", "png", "pdf")
_PRINT: dict[str, Any] = {  # style of saved charts; on a page, the page's theme applies
    "background": "white",
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": "#E6E6E6",
        "domainColor": "#777777",
        "tickColor": "#777777",
    },
    "legend": {"labelFontSize": 11, "titleFontSize": 12},
    "title": {"fontSize": 13, "fontWeight": "normal", "anchor": "start"},
}


def save(
    chart: Any,
    path: Path | str,
    data: pd.DataFrame,
    formats: tuple[str, ...] = FORMATS,
    width: int | None = None,
    height: int | None = None,
) -> list[Path]:
    """Write a chart as `<path>.svg`, `.png` (at 2x) and `.pdf`, and its numbers as `<path>.csv`.

    Args:
        path: path without a suffix; its folders are created.
        data: the numbers that the chart shows.
        formats: any of `FORMATS`.
        width: width in pixels of a chart that fills its column on a page; default: 640.
        height: height in pixels; default: the chart's own.

    Returns:
        The files written.

    Raises:
        ValueError: a format is unknown.
        OSError: a file cannot be written.
    """
    stem = Path(path)
    stem.parent.mkdir(parents=True, exist_ok=True)
    spec = _without_invisible(chart.to_dict())
    spec["config"] = {**_PRINT}
    if spec.get("width") == "container":
        spec["width"] = width or 640
    if height:
        spec["height"] = height
    written = []
    for ending in formats:
        target = stem.with_name(f"{stem.name}.{ending}")
        target.write_bytes(_render(spec, ending))
        written.append(target)
    table = stem.with_name(f"{stem.name}.csv")
    table.write_text(csv(data), encoding="utf-8")
    return [*written, table]


def _without_invisible(spec: dict[str, Any]) -> dict[str, Any]:
    """The chart without its invisible marks, which only serve tooltips."""
    kept = dict(spec)
    for part in ("layer", "hconcat"):
        if part in kept:
            kept[part] = [_without_invisible(one) for one in kept[part] if not _is_invisible(one)]
    if "spec" in kept:  # of a facet
        kept["spec"] = _without_invisible(kept["spec"])
    return kept


def _is_invisible(spec: dict[str, Any]) -> bool:
    mark = spec.get("mark")
    return isinstance(mark, dict) and mark.get("opacity") == 0


def _render(spec: dict[str, Any], ending: str) -> bytes:
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    if ending == "svg":
        return vl_convert.vegalite_to_svg(spec, vl_version=version).encode()
    if ending == "png":
        return vl_convert.vegalite_to_png(spec, vl_version=version, scale=2)
    if ending == "pdf":
        return vl_convert.vegalite_to_pdf(spec, vl_version=version)
    raise ValueError(f"format is {ending!r}; allowed: {', '.join(FORMATS)}")
