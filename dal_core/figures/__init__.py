"""Every chart of the product, drawn once (Altair): pages show it, the command line saves it.

The numbers come from `dal_core.results`, or from the caller as plain data; names and colours from
`results.titles`. Beside each `x_figure` stands `x_data`, the numbers it shows. No chart sets a
background or a text colour, so that a page's light or dark theme can.
"""

from dal_core.figures.compare import MAX_COMPARED, compare_data, compare_figure
from dal_core.figures.crossings import crossings_data, crossings_figure
from dal_core.figures.examples import LabelledImages, examples_data, examples_figure
from dal_core.figures.labels_needed import needed_data, needed_figure
from dal_core.figures.learning import learning_curve, learning_curve_data
from dal_core.figures.report import bands_data, bands_figure
from dal_core.figures.save import FORMATS, save
from dal_core.figures.savings import savings_figure

__all__ = [
    "FORMATS",
    "MAX_COMPARED",
    "LabelledImages",
    "bands_data",
    "bands_figure",
    "compare_data",
    "compare_figure",
    "crossings_data",
    "crossings_figure",
    "examples_data",
    "examples_figure",
    "learning_curve",
    "learning_curve_data",
    "needed_data",
    "needed_figure",
    "save",
    "savings_figure",
]
