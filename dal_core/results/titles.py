"""Names and colours of acquisition functions, the same in every table, chart and page.

The report's functions have the palette of Okabe and Ito (2008), which people with the common colour
deficiencies can tell apart. Black and yellow are left out: one is lost on a dark page, the other on
a light one. The other functions have further colours of medium lightness; no palette of so many can
be told apart by everyone, so charts of many functions also name each line.
"""

from __future__ import annotations

from collections.abc import Mapping

from dal_core.acquisition import registry

PALETTE: Mapping[str, str] = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "vermillion": "#D55E00",
    "grey": "#8C8C8C",
    "crimson": "#D6336C",
    "coral": "#FF8787",
    "olive": "#94862B",
    "rose": "#CC6677",
    "indigo": "#7A6FD0",
    "teal": "#44AA99",
    "wine": "#A2416B",
    "cyan": "#22A6B8",
    "sand": "#B08D57",
    "violet": "#AA66CC",
    "brown": "#996644",
    "lime": "#7CB342",
}
PRIMARY = PALETTE["blue"]  # the main series of a chart that shows no single function
TEXT = "#7b7f87"  # text in charts: contrast 4:1 on a light page and on a dark one
FULL_DATA = PALETTE["vermillion"]  # the full-data bound, a thin line in every chart

_BOUND = "full_data"  # name of a full-data run, which has no acquisition function


def display_name(acquisition: str, short: bool = False) -> str:
    """Display name of an acquisition function, or its abbreviation for tables (`short`).

    A function that is not registered (from a foreign record) keeps its own name.
    """
    if acquisition == _BOUND:
        return "Full data" if short else "All images"
    found = registry.find(acquisition)
    if found is None:
        return acquisition
    return found.short_title if short else found.title


def colour(acquisition: str) -> str:
    """The colour of a function in every chart; vermillion for one that is not registered."""
    found = registry.find(acquisition)
    return PALETTE[found.colour if found else "vermillion"]


def noise_name(noise: float) -> str:
    """Noise of the simulated oracle in words; empty for an oracle that is always right."""
    return f"{100 * noise:g}% wrong answers" if noise else ""


def in_order(acquisitions: list[str]) -> list[str]:
    """The names without repeats: registered functions, the full-data bound, then all others."""
    known = [name for name in (*registry.names(), _BOUND) if name in acquisitions]
    return known + [name for name in dict.fromkeys(acquisitions) if name not in known]
