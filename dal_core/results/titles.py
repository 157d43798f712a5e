"""Names and colours of acquisition functions, the same in every table, chart and page.

The palette is that of Okabe and Ito (2008), which people with the common colour deficiencies can
tell apart. Black and yellow are left out: one is lost on a dark page, the other on a light one.
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
}
PRIMARY = PALETTE["blue"]  # what a chart is about, where that is no function
TEXT = "#7b7f87"  # in charts: contrast 4 to 1 against a light page and a dark one
FULL_DATA = PALETTE["vermillion"]  # the full-data bound, a thin line in every chart

_BOUND = "full_data"  # a run without an acquisition function


def display_name(acquisition: str, short: bool = False) -> str:
    """What people call a function; `short` gives the abbreviation for tables.

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
    """Each once: registered ones in the registry's order, the full-data bound, then the others."""
    known = [name for name in (*registry.names(), _BOUND) if name in acquisitions]
    return known + [name for name in dict.fromkeys(acquisitions) if name not in known]
