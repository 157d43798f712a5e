"""Widgets that the program sets: what each draw tells the browser, and when the key changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

SCRIPT = """
import streamlit as st
from dal_ui.shared.widgets import accept, key_for, renew

def moved():
    accept("size", st.session_state[key])
    st.session_state.wanted = st.session_state[key]

wanted = st.session_state.get("wanted", 16)
key = key_for("size", wanted)
st.slider("Size", 1, 64, wanted, key=key, on_change=moved)
st.button("Renew", on_click=renew, args=("size",))
"""


def _page() -> AppTest:
    page = AppTest.from_string(SCRIPT).run()
    assert not page.exception
    return page


def _slider(page: AppTest) -> Any:
    return page.slider[0]


def test_every_draw_says_where_the_widget_starts() -> None:
    """A browser that missed the first draw, which a click interrupted, has it from the second."""
    page = _page()
    for _ in range(2):
        assert list(_slider(page).proto.default) == [16]
        assert _slider(page).key == "size"
        page.run()


def test_another_wish_is_another_widget_that_starts_there() -> None:
    page = _page()
    page.session_state["wanted"] = 30
    page.run()
    assert (_slider(page).key, _slider(page).value) == ("size-1", 30)


def test_what_the_person_chose_is_no_reason_to_start_anew() -> None:
    page = _page()
    _slider(page).set_value(20).run()
    page.run()
    assert (_slider(page).key, _slider(page).value) == ("size", 20)


def test_a_renewed_widget_starts_at_its_default() -> None:
    page = _page()
    page.session_state["wanted"] = 16
    _slider(page).set_value(20).run()
    page.session_state["wanted"] = 20
    page.button[0].click().run()
    assert (_slider(page).key, _slider(page).value) == ("size-1", 20)
    assert not page.exception


# -- the rule, everywhere ----------------------------------------------------------------------


def _written(tree: ast.AST) -> Iterator[str]:
    """What the code calls the entries of the session state that it assigns."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            if isinstance(target, ast.Subscript) and ast.unparse(target.value) == STATE:
                yield ast.unparse(target.slice)


def _keys(tree: ast.AST) -> Iterator[str]:
    """What the code calls the keys of its widgets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (ast.unparse(word.value) for word in node.keywords if word.arg == "key")


STATE = "st.session_state"
TABS = {"VIEW_KEY"}  # a tab that is not told where it stands asks for it with the next click


def test_no_page_sets_the_value_of_a_widget_through_the_session_state() -> None:
    root = Path(__file__).resolve().parents[3]
    sources = [*(root / "dal_ui").rglob("*.py"), *(root / "pages").glob("*.py")]
    trees = [ast.parse(source.read_text()) for source in sources]
    written = {name for tree in trees for name in _written(tree)}
    keys = {name for tree in trees for name in _keys(tree)}
    assert {"'reviewing'", "VIEW_KEY"} <= written and "'review-search'" in keys  # it reads them
    assert written & keys == TABS
