"""Every chart of the product, drawn once (Altair): pages show it, the command line saves it.

Owns the look of charts. The numbers come from `analysis.py`, names and colours from `display.py`.
No chart sets a background or a text colour, so that a page's light or dark theme can.
"""

from dal_core.figures.learning import learning_curve, learning_curve_data
from dal_core.figures.save import save

__all__ = ["learning_curve", "learning_curve_data", "save"]
