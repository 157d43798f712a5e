"""Deep active learning without a browser: data, models, scores, the loop, its store and record.

Importing it needs neither torch nor Streamlit nor a network; each module imports what it uses.
"""

__version__ = "0.1.0"
