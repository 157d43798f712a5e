"""The app's entry: `streamlit run app.py`, or `make run`."""

from dal_ui.shared.shell import enter

enter()
