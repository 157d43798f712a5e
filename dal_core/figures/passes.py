"""One image's passes: the T x C matrix, its mean, each pass's entropy and vote, and the sums.

Owns how the parts of a score look. Blue is probability, an orange dot the class a pass votes for;
a class has one colour in every sum. The numbers are `explain.parts`'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from dal_core.display import PALETTE, PRIMARY, TEXT, colour, display_name
from dal_core.explain.parts import Parts
from dal_core.figures.axes import PADDING, axis, legend

VOTE = PALETTE["orange"]
# Vega's tableau10; ten colours do not stay apart for everybody, so a digit always stands by them.
CLASS_COLOURS = (
    *("#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b"),
    *("#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#bab0ac"),
)
_MATRIX, _BARS, _ENTROPY, _MEAN = 300, 300, 96, 70  # pixels: widths and heights
_LABEL_FROM = 0.06  # of an axis: a narrower part of a bar has no room for its digit


def passes_figure(parts: Parts) -> alt.VConcatChart:
    """The T x C matrix (report, section 2.1.1) over its mean, each pass's entropy at its right."""
    matrix, rows, mean = passes_data(parts)
    digits = alt.X("digit:O", title="digit", axis=axis(labelAngle=0, grid=False))
    passes = alt.Y("pass:O", title="pass", axis=_pass_axis(len(rows)))
    cells = alt.Chart(matrix).encode(x=digits, y=passes)
    heat = cells.mark_rect(color=PRIMARY).encode(
        opacity=alt.Opacity(
            "p:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1], clamp=True), legend=None
        ),
        tooltip=[
            alt.Tooltip("pass:O", title="Pass"),
            alt.Tooltip("digit:O", title="Digit"),
            alt.Tooltip("p:Q", title="Probability", format=".3f"),
        ],
    )
    votes = (
        cells.transform_filter(alt.datum.vote)
        .mark_circle(color=VOTE, size=_dot(len(rows)), opacity=1)
        .encode(tooltip=[alt.Tooltip("pass:O"), alt.Tooltip("digit:O", title="Votes for")])
    )
    top = alt.layer(heat, votes).properties(width=_MATRIX, height=_BARS)
    return alt.vconcat(
        alt.hconcat(top, _entropies(rows, len(mean)), spacing=14),
        _mean(mean),
        spacing=6,
        padding=PADDING,
    )


def passes_data(parts: Parts) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The numbers behind `passes_figure`.

    Returns:
        `pass`, `digit`, `p`, `vote` (of T x C cells); `pass`, `entropy` (of T passes); `digit`,
        `p` (the mean, of C classes). Passes count from 1.
    """
    n_passes, n_classes = parts.probs.shape
    number, digit = np.divmod(np.arange(n_passes * n_classes), n_classes)
    votes = parts.probs.argmax(-1)
    matrix = pd.DataFrame(
        {
            "pass": number + 1,
            "digit": digit,
            "p": parts.probs.ravel().round(5).astype(float),
            "vote": votes[number] == digit,
        }
    )
    rows = pd.DataFrame({"pass": np.arange(n_passes) + 1, "entropy": parts.entropies.astype(float)})
    mean = pd.DataFrame({"digit": np.arange(n_classes), "p": parts.mean.astype(float)})
    return matrix, rows, mean


def _pass_axis(n_passes: int) -> alt.Axis:
    step = max(1, math.ceil(n_passes / 8))
    values = sorted({1, n_passes, *range(step, n_passes - step // 2, step)})
    return axis(values=values, grid=False, ticks=False)


def _dot(n_passes: int) -> float:
    """Area of a vote in square pixels: it fits its row."""
    return min(50.0, (0.7 * _BARS / n_passes) ** 2)


def _entropies(rows: pd.DataFrame, n_classes: int) -> alt.LayerChart:
    base = alt.Chart(rows)
    x = alt.X(
        "entropy:Q",
        title="entropy (nats)",
        scale=alt.Scale(domain=[0, math.log(n_classes)], nice=False, clamp=True),
        axis=axis(tickCount=3, format=".1f"),
    )
    tooltip = [
        alt.Tooltip("pass:O", title="Pass"),
        alt.Tooltip("entropy:Q", title="Entropy", format=".3f"),
    ]
    bars = base.mark_bar(color=PALETTE["grey"]).encode(
        x=x, y=alt.Y("pass:O", axis=None), tooltip=tooltip
    )
    middle = base.mark_rule(color=PALETTE["vermillion"], strokeWidth=2).encode(
        x=alt.X("mean(entropy):Q"),
        tooltip=alt.Tooltip("mean(entropy):Q", title="Mean of the entropies", format=".3f"),
    )
    return alt.layer(bars, middle).properties(width=_ENTROPY, height=_BARS)


def _mean(mean: pd.DataFrame) -> alt.LayerChart:
    x = alt.X("digit:O", axis=None)
    y = alt.Y(
        "p:Q",
        title="mean",
        scale=alt.Scale(domain=[0, 1]),
        axis=axis(values=[0, 0.5, 1], format=".1f"),
    )
    base = alt.Chart(mean).encode(x=x, y=y)
    tooltip = [
        alt.Tooltip("digit:O", title="Digit"),
        alt.Tooltip("p:Q", title="Mean probability", format=".3f"),
    ]
    bars = base.mark_bar(color=PRIMARY).encode(tooltip=tooltip)
    values = base.transform_filter(alt.datum.p >= 0.005).mark_text(dy=-6, fontSize=10, color=TEXT)
    layers = alt.layer(bars, values.encode(text=alt.Text("p:Q", format=".2f")))
    return layers.properties(width=_MATRIX, height=_MEAN)


# -- the sums ----------------------------------------------------------------------------------


def sums_figure(parts: Parts) -> alt.VConcatChart:
    """Entropies as bars that are taken off each other, votes as a bar, spreads class by class."""
    n_passes, n_classes = parts.probs.shape
    entropies, votes, spreads = sums_data(parts)
    rows = ["of the mean", "mean of the passes'", "difference"]
    limit = math.log(n_classes)
    return alt.vconcat(
        _stacked(entropies, rows, limit, "Entropy in nats: BALD = of the mean − mean", ".1f", 88),
        _stacked(votes, ["votes"], n_passes, f"Votes of the {n_passes} passes", "d", 30),
        _spread_bars(spreads),
        spacing=12,
        padding=PADDING,
    ).resolve_scale(color="shared")


def sums_data(parts: Parts) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The numbers behind `sums_figure`.

    Returns:
        Twice the parts of bars: `row`, `digit` (missing where a part belongs to no class),
        `start`, `end`; then `digit`, `spread`.
    """
    mean_entropy = parts.mean_of_entropies
    entropies = pd.concat(
        [
            _segments("of the mean", parts.entropy_terms),
            _segments("mean of the passes'", [mean_entropy], [None]),
            pd.DataFrame(
                [("difference", None, mean_entropy, parts.entropy_of_mean)],
                columns=["row", "digit", "start", "end"],
            ),
        ],
        ignore_index=True,
    )
    votes = _segments("votes", parts.votes)
    spreads = pd.DataFrame(
        {"digit": np.arange(len(parts.spreads)), "spread": parts.spreads.astype(float)}
    )
    return entropies, votes, spreads


def _segments(
    row: str, sizes: Sequence[float] | np.ndarray, digits: Sequence[int | None] | None = None
) -> pd.DataFrame:
    """Parts of one bar, the largest first; parts of no size are left out."""
    names = list(digits) if digits is not None else list(range(len(sizes)))
    order = sorted(range(len(sizes)), key=lambda i: -float(sizes[i]))
    table, end = list[tuple[str, int | None, float, float]](), 0.0
    for i in order:
        if float(sizes[i]) > 0:
            table.append((row, names[i], end, end + float(sizes[i])))
            end = table[-1][3]
    return pd.DataFrame(table, columns=["row", "digit", "start", "end"])


def _stacked(
    data: pd.DataFrame, rows: list[str], limit: float, title: str, number: str, height: int
) -> alt.LayerChart:
    shown = data.assign(
        what=[_what(row, digit) for row, digit in zip(data.row, data.digit, strict=True)],
        size=data.end - data.start,
        middle=(data.start + data.end) / 2,
        text=["" if digit is None or pd.isna(digit) else f"{digit:.0f}" for digit in data.digit],
    )
    x = alt.X(
        "start:Q",
        title=title,
        scale=alt.Scale(domain=[0, limit], nice=False),
        axis=axis(format=number, tickCount=6, grid=False),
    )
    y = alt.Y("row:N", title=None, sort=rows, axis=axis(ticks=False, domain=False, minExtent=112))
    base = alt.Chart(shown).encode(y=y)
    bars = base.mark_bar(stroke="white", strokeWidth=0.6, height=20).encode(
        x=x,
        x2="end:Q",
        color=_what_colours(),
        tooltip=[
            alt.Tooltip("row:N", title="Bar"),
            alt.Tooltip("what:N", title="Part"),
            alt.Tooltip("size:Q", title="Size", format=".3~f"),
        ],
    )
    names = (
        base.transform_filter(alt.datum.size >= _LABEL_FROM * limit)
        .mark_text(color="white", fontWeight="bold", fontSize=11)
        .encode(x=alt.X("middle:Q"), text="text:N")
    )
    return alt.layer(bars, names).properties(width=_MATRIX, height=height)


def _what(row: str, digit: float | None) -> str:
    if digit is None or pd.isna(digit):
        return row
    return f"digit {digit:.0f}"


def _what_colours() -> alt.Color:
    others = {"mean of the passes'": PALETTE["grey"], "difference": colour("bald")}
    names = [f"digit {digit}" for digit in range(10)] + list(others)
    scale = alt.Scale(domain=names, range=[*CLASS_COLOURS, *others.values()])
    return alt.Color("what:N", scale=scale, legend=None)


def _spread_bars(spreads: pd.DataFrame) -> alt.LayerChart:
    shown = spreads.assign(what=[f"digit {digit}" for digit in spreads.digit])
    base = alt.Chart(shown)
    y = alt.Y(
        "spread:Q",
        title=None,
        scale=alt.Scale(domain=[0, 0.5], clamp=True),
        axis=axis(values=[0, 0.25, 0.5], format=".2f", minExtent=112),
    )
    x = alt.X(
        "digit:O",
        title="Standard deviation of each digit; the line is their mean",
        axis=axis(labelAngle=0),
    )
    tooltip = [
        alt.Tooltip("digit:O", title="Digit"),
        alt.Tooltip("spread:Q", title="Standard deviation", format=".3f"),
    ]
    bars = base.mark_bar().encode(x=x, y=y, color=_what_colours(), tooltip=tooltip)
    middle = base.mark_rule(color=colour("mean_std"), strokeWidth=2).encode(
        y="mean(spread):Q",
        tooltip=alt.Tooltip("mean(spread):Q", title="Mean std", format=".3f"),
    )
    return alt.layer(bars, middle).properties(width=_MATRIX, height=70)


# -- settling ----------------------------------------------------------------------------------


def settling_figure(lines: Mapping[str, np.ndarray], n_passes: int) -> alt.LayerChart:
    """Scores after 1, 2, ... passes, and a rule at the number of passes looked at.

    Args:
        lines: by function, [T] as `explain.parts.settling` gives them.
    """
    data = settling_data(lines)
    names = [display_name(name, short=True) for name in lines]
    line = (
        alt.Chart(data)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X(
                "passes:Q",
                title="passes T",
                scale=alt.Scale(domain=[1, max(map(len, lines.values()), default=2)], nice=False),
                axis=axis(grid=False, tickCount=8),
            ),
            y=alt.Y("score:Q", title="score", axis=axis(tickCount=5)),
            color=alt.Color(
                "function:N",
                title=None,
                scale=alt.Scale(domain=names, range=[colour(name) for name in lines]),
                legend=legend("top", columns=5, columnPadding=8),
            ),
            tooltip=[
                alt.Tooltip("function:N", title="Function"),
                alt.Tooltip("passes:Q", title="Passes"),
                alt.Tooltip("score:Q", title="Score", format=".3f"),
            ],
        )
    )
    rule = alt.Chart(pd.DataFrame({"passes": [n_passes]})).mark_rule(
        strokeDash=[4, 3], color=PALETTE["grey"]
    )
    layers = alt.layer(rule.encode(x="passes:Q"), line)
    return layers.properties(width="container", height=190, padding=PADDING)


def settling_data(lines: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Columns `function` (its short display name), `passes`, `score`."""
    parts = [
        pd.DataFrame(
            {
                "function": display_name(name, short=True),
                "passes": np.arange(1, len(line) + 1),
                "score": line.astype(float).round(5),
            }
        )
        for name, line in lines.items()
    ]
    return pd.concat(parts, ignore_index=True)
