"""Figures 5 and 6 of the report: labels needed, absolute or relative to Random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from dal_core.figures.axes import PADDING, axis, plain_legend
from dal_core.results.curves import RunCurve
from dal_core.results.tables import Cells, Row, Table, tables
from dal_core.results.titles import PALETTE, colour, display_name

_STRENGTHS = {  # opacity by way of counting; the colour is the function's
    "Step-Average": 1.0,
    "Average-Step": 0.55,
    "Gal et al. (2017)": 0.22,
}
_COLUMNS = [
    *("error", "acquisition", "function", "counted"),
    *("value", "low", "high", "report", "note"),
]
_DIAMONDS = alt.Title("Diamonds: the report's values", fontSize=11, anchor="start")
_DARK, _LIGHT = "#333333", "#F2F2F2"


def needed_figure(
    runs: Sequence[RunCurve],
    relative: bool = False,
    *,
    published: bool = False,
    width: int = 270,
) -> alt.HConcatChart:
    """Figure 5 (labels) or 6 (shares of Random's): one panel for 10% error, one for 5%.

    Error bars show one population standard deviation over runs, for Step-Average only. An error
    that was never reached is shown as the word "never" instead of a bar.

    Args:
        published: also show the report's values, as diamonds on the bars.
        width: width of one panel in pixels.
    """
    data = needed_data(runs, relative)
    panels = [
        _panel(data[data.error == error], relative, published, width, first=number == 0)
        for number, error in enumerate(dict.fromkeys(data.error))
    ]
    figure = alt.hconcat(*panels, spacing=28).properties(padding=PADDING)
    return figure.properties(title=_DIAMONDS) if published else figure


def needed_data(runs: Sequence[RunCurve], relative: bool = False) -> pd.DataFrame:
    """The numbers behind `needed_figure`.

    Returns:
        Columns `error`, `acquisition`, `function` (display name), `counted`, `value` (missing if
        never reached or unknown), `low` and `high` (value -+ std), `report` (the report's value)
        and `note` ("never" if the error was not reached).
    """
    chosen = [table for table in tables(runs) if table.relative == relative]
    lines = [line for table in chosen for row in table.rows for line in _lines(table, row)]
    return pd.DataFrame(lines, columns=_COLUMNS)


def _lines(table: Table, row: Row) -> list[dict[str, Any]]:
    ours, report = row.first, row.report
    printed = report or Cells((), None, None, None)
    low, high = None, None
    if ours.mean is not None and ours.std is not None:
        low, high = ours.mean - ours.std, ours.mean + ours.std
    head = {
        "error": table.error,
        "acquisition": row.acquisition,
        "function": display_name(row.acquisition),
    }
    values = [
        (ours.mean, low, high, printed.mean, ours.defined),
        (ours.average_step, None, None, printed.average_step, ours.average_step_defined),
        (row.gal, None, None, None, False),
    ]
    return [
        {
            **head,
            "counted": counted,
            "value": value,
            "low": low,
            "high": high,
            "report": published,
            "note": "never" if value is None and known else "",
        }
        for counted, (value, low, high, published, known) in zip(_STRENGTHS, values, strict=True)
    ]


def _panel(
    data: pd.DataFrame, relative: bool, published: bool, width: int, first: bool
) -> alt.LayerChart | alt.FacetChart:
    functions = list(dict.fromkeys(data.function))
    acquisitions = list(dict.fromkeys(data.acquisition))
    ways = list(_STRENGTHS)
    y = alt.Y(
        "function:N",
        title=None,
        sort=functions,
        axis=axis(labels=first, ticks=False, domain=False, labelPadding=8, labelLimit=160),
    )
    offset = alt.YOffset("counted:N", sort=ways, scale=alt.Scale(domain=ways))
    title = "Share of Random's labels" if relative else "Labels needed"
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=True), axis=axis(tickCount=5))
    fill = alt.Color(
        "function:N",
        legend=None,
        scale=alt.Scale(domain=functions, range=[colour(name) for name in acquisitions]),
    )
    strength = alt.Opacity(
        "counted:N",
        title=None,
        scale=alt.Scale(type="ordinal", domain=ways, range=list(_STRENGTHS.values())),
        legend=plain_legend(
            symbolType="square", symbolStrokeWidth=0, symbolFillColor=PALETTE["grey"]
        ),
    )
    number = ".2f" if relative else ".1f"
    tooltip = [
        alt.Tooltip("function:N", title="Function"),
        alt.Tooltip("counted:N", title="Counted"),
        alt.Tooltip("value:Q", title=title, format=number),
        alt.Tooltip("report:Q", title="The report's", format=number),
    ]
    base = alt.Chart(data).encode(y=y, yOffset=offset)
    # aria: hides empty layers, which a screen reader would announce without a name
    intervals = bool((data.low.notna() & data.high.notna()).any())
    layers: list[Any] = [
        base.mark_bar(height=alt.RelativeBandSize(0.92)).encode(
            x=x, color=fill, opacity=strength, tooltip=tooltip
        ),
        # a dark line with a light edge is visible on any bar and page
        base.mark_rule(strokeWidth=4, color=_LIGHT, aria=intervals).encode(x="low:Q", x2="high:Q"),
        base.mark_rule(strokeWidth=1.75, color=_DARK, aria=intervals).encode(
            x="low:Q", x2="high:Q"
        ),
        base.mark_text(align="left", dx=4, fontSize=10, color=PALETTE["grey"]).encode(
            x=alt.datum(0), text="note:N"
        ),
    ]
    if published:
        layers.append(
            base.mark_point(
                shape="diamond", size=45, fill=_LIGHT, stroke=_DARK, strokeWidth=1.25, opacity=1
            ).encode(x="report:Q", tooltip=tooltip)
        )
    if relative:
        layers.append(
            alt.Chart(pd.DataFrame({"value": [1.0]}))
            .mark_rule(strokeWidth=1, color=PALETTE["grey"])
            .encode(x="value:Q")
        )
    error = alt.Title(f"{data.error.iloc[0]:.0%} test error", anchor="start", frame="group")
    return alt.layer(*layers).properties(width=width, height=260, title=error)
