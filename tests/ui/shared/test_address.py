"""The page's address: one change is one step, and what the browser says of it is checked."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from dal_ui.shared.address import MAX_CHARACTERS, MAX_PARAMETERS, parameters_of


def test_the_browsers_message_is_read_as_parameters() -> None:
    assert parameters_of("?run=a%20b&plain=1&x=") == {"run": "a b", "plain": "1", "x": ""}
    assert parameters_of("") == {}
    assert parameters_of("?embed=true&EMBED_options=x&run=a") == {"run": "a"}


@pytest.mark.parametrize(
    "message",
    [None, 3, ["?run=a"], "x" * (MAX_CHARACTERS + 1), "&".join(["a=1"] * (MAX_PARAMETERS + 1))],
)
def test_anything_else_is_no_message(message: object) -> None:
    assert parameters_of(message) is None


def test_parameters_are_set_and_removed_in_one_step_and_the_others_stay() -> None:
    def page() -> None:
        from dal_ui.shared import address

        address.change(run="b", step=None)

    shown = AppTest.from_function(page, default_timeout=30)
    shown.query_params["run"], shown.query_params["step"] = "a", "30"
    shown.query_params["plain"] = "1"
    shown.run()
    assert dict(shown.query_params) == {"run": ["b"], "plain": ["1"]}
