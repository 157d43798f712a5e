"""Seeds and KEY=VALUE as people type them."""

from __future__ import annotations

import pytest

from dal_core.protocol.parameters import ProtocolError
from dal_core.protocol.typed import parse_seeds, parse_setting_lines, parse_settings


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        *(("1, 2, 3", (1, 2, 3)), ("1,2", (1, 2)), ("7", (7,)), ("1-4, 9", (1, 2, 3, 4, 9))),
        *(("3 1", (3, 1)), (" 1 - 3 ", (1, 2, 3)), ("1\n2", (1, 2))),
    ],
)
def test_seeds_are_read_as_people_write_them(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "one", "1,,2", "1,,x", "1,", "-1", "3-1", "1, 1", "1-500", "99999999999", "١"]
)
def test_seeds_that_make_no_sense_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ProtocolError, match=r"^seeds has [^\n]*; allowed: [^\n]*$"):
        parse_seeds(text)


def test_a_caller_may_allow_more_seeds() -> None:
    assert len(parse_seeds("1-500", at_most=500)) == 500
    with pytest.raises(ProtocolError, match="seeds has 501 seeds; allowed: 1 to 500"):
        parse_seeds("0, 1-500", at_most=500)


def test_settings_are_read_by_key_and_comments_are_skipped() -> None:
    assert parse_settings(["n_epochs=5", " weights = last "]) == {
        "n_epochs": "5",
        "weights": "last",
    }
    assert parse_setting_lines("# as released\n\nn_epochs = 7\n") == {"n_epochs": "7"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["n_epochs"], "parameter 'n_epochs'; allowed: KEY=VALUE, such as n_epochs=50"),
        (["=3"], "parameter '=3'; allowed: KEY=VALUE, such as n_epochs=50"),
        (["n_epochs="], "parameter 'n_epochs='; allowed: KEY=VALUE, such as n_epochs=50"),
        ([""], "parameter ''; allowed: KEY=VALUE, such as n_epochs=50"),
        (["a=1", "b=1", "a =2"], "parameter 'a' is set twice; allowed: once"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(ProtocolError) as error:
        parse_settings(texts)
    assert str(error.value) == message
