"""The frame around every page: title, navigation, deep links.

`app.py` is the entry. A deep link to a server that nobody has opened yet runs a page's file alone,
outside the navigation. The page then calls `enter`, which builds the same frame, opens the page in
the address and keeps its `?run=`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st
from PIL import Image, ImageDraw

from dal_ui.shared import address, runtime, trouble
from dal_ui.shared.markdown import plain

PAGES_FOLDER = Path(__file__).resolve().parents[2] / "pages"
_INSIDE = "dal_inside_navigation"
_CARRIED = ("run", "plain", "experiment", "tour")  # the address's parameters


def enter() -> None:
    """Draw the frame and run the page in the address."""
    st.set_page_config(page_title="dal", page_icon=_favicon(), layout="wide")
    pages = [
        # The default page has no name in the address; the last entry gives it one.
        _page("label", "Label", ":material/draw:", default=True, url_path="start"),
        _page("explain", "Explain", ":material/lightbulb:"),
        _page("reproduce", "Reproduce", ":material/science:"),
        _page("runs", "Runs", ":material/list_alt:"),
        _page("label", "Label", ":material/draw:", url_path="label", visibility="hidden"),
    ]
    chosen = st.navigation(pages, position="top")
    st.session_state[_INSIDE] = True
    try:
        with trouble.shown():
            if runtime.store().read_only:
                st.warning("This home is read-only: you can look at everything and change nothing.")
            if (damage := runtime.store().damage) is not None:
                st.error(plain(f"{damage}. What can be read is shown.".replace("`", "'")))
            chosen.run()
    finally:
        st.session_state[_INSIDE] = False
    address.follow(_place(chosen.title), chosen.url_path, [page.url_path for page in pages])


def _place(page: str) -> str:
    """What the page shows: Explain and Runs stay where they are when another run is chosen."""
    shown = {"Label": "run", "Reproduce": "experiment"}.get(page, "")
    return f"{page} {st.query_params.get(shown, '')}"


def is_alone() -> bool:
    """Whether the page's file is run outside the navigation."""
    return not st.session_state.get(_INSIDE, False)


def current_run(page: str) -> str | None:
    """The run in the address. The navigation drops it, so a visit from another page restores it."""
    state = st.session_state
    if state.get("dal_page", page) != page:
        for name, value in state.get("dal_address", {}).items():
            if name not in st.query_params:
                st.query_params[name] = value
    state["dal_page"] = page
    state["dal_address"] = {n: st.query_params[n] for n in _CARRIED if n in st.query_params}
    return st.query_params.get("run") or None


def go_to(run_id: str | None) -> None:
    """Open a run on the labelling page; None opens the start form."""
    address = {n: v for n, v in st.query_params.items() if n in _CARRIED and n != "run"}
    if run_id is not None:
        address["run"] = run_id
    st.session_state["dal_page"] = "label"
    st.session_state["dal_address"] = address
    st.switch_page(PAGES_FOLDER / "label.py", query_params=address)


def _page(name: str, title: str, icon: str, **options: object) -> st.Page:
    return st.Page(PAGES_FOLDER / f"{name}.py", title=title, icon=icon, **options)  # type: ignore[arg-type]


@cache
def _favicon() -> Image.Image:
    """A rising curve. It is drawn here because a named icon would be fetched from the internet."""
    icon = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(icon)
    draw.rounded_rectangle((0, 0, 63, 63), 14, fill="#1d4ed8")
    draw.line([(10, 50), (22, 30), (36, 20), (54, 14)], fill="white", width=7, joint="curve")
    for x, y in ((10, 50), (22, 30), (36, 20), (54, 14)):
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill="white")
    return icon
