"""How acquisition functions are called and coloured wherever a person sees them.

Owns display names and the one palette; tables, figures and pages ask here. It draws nothing.

The colours are Okabe and Ito's (2008), which stay apart for the common colour deficiencies; their
black and yellow are left out, since one is lost on a dark page and the other on a light one.
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
PRIMARY = PALETTE["blue"]  # this run, on the labelling page
TEXT = "#7b7f87"  # for words inside a chart: 4 to 1 against a light page and against a dark one
FULL_DATA = PALETTE["vermillion"]  # the full-data bound, a thin line everywhere

_BOUND = "full_data"  # a run as any other, but of no acquisition function


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
    """What people call a simulated oracle's noise; empty for one that is always right."""
    return f"{100 * noise:g}% wrong answers" if noise else ""


def in_order(acquisitions: list[str]) -> list[str]:
    """Each once: registered ones in the registry's order, the full-data bound, then the others."""
    known = [name for name in (*registry.names(), _BOUND) if name in acquisitions]
    return known + [name for name in dict.fromkeys(acquisitions) if name not in known]
