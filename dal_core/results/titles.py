"""How acquisition functions are called and coloured wherever a person sees them.

Owns display names and the one palette; tables, figures and pages ask here. It draws nothing.

The colours are Okabe and Ito's (2008), which stay apart for the common colour deficiencies; their
black and yellow are left out, since one is lost on a dark page and the other on a light one.
"""

from __future__ import annotations

from collections.abc import Mapping

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

_FUNCTIONS: Mapping[str, tuple[str, str, str]] = {  # name: long, short (the report's), colour
    "max_entropy": ("Max entropy", "ME", "orange"),
    "bald": ("BALD", "BALD", "blue"),
    "variation_ratios": ("Variation ratios", "VR", "green"),
    "variation_ratios_mean": ("Variation ratios (mean)", "VR (mean)", "sky"),
    "mean_std": ("Mean std", "MSTD", "purple"),
    "random": ("Random", "Random", "grey"),
    "full_data": ("All images", "Full data", "vermillion"),  # no function, but a run as any
}


def display_name(acquisition: str, short: bool = False) -> str:
    """What people call a function; `short` gives the report's abbreviation.

    A function we do not know (from a foreign record) keeps its own name.
    """
    long_name, short_name, _ = _FUNCTIONS.get(acquisition, (acquisition, acquisition, ""))
    return short_name if short else long_name


def colour(acquisition: str) -> str:
    """The colour of a function, the same in every chart; vermillion for one we do not know."""
    return PALETTE[_FUNCTIONS.get(acquisition, ("", "", "vermillion"))[2]]


def noise_name(noise: float) -> str:
    """What people call a simulated oracle's noise; empty for one that is always right."""
    return f"{100 * noise:g}% wrong answers" if noise else ""


def in_order(acquisitions: list[str]) -> list[str]:
    """Each once, in the report's order (Random last among ours), unknown ones after them."""
    known = [name for name in _FUNCTIONS if name in acquisitions]
    return known + [name for name in dict.fromkeys(acquisitions) if name not in _FUNCTIONS]
