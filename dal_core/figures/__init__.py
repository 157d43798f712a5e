"""Every chart of the product (Altair), for pages to show and the command line to save.

The numbers come from `dal_core.results` or from the caller as plain data. Names and colours come
from `results.titles`. For each `x_figure`, `x_data` returns the numbers it shows. No chart sets a
background or a text colour, so that the page's light or dark theme sets them.
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
