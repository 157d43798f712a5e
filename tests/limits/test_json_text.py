"""JSON from outside: what is read, and what is refused."""

from __future__ import annotations

import json

import pytest

from dal_core.limits.json_text import read_json
from dal_core.limits.refused import Malformed, Refused


@pytest.mark.parametrize("text", ['{"a": [1, -2.5, 1e3, true, null, "x"]}', "7", '"\\u00e9"', "{}"])
def test_ordinary_json_is_read_as_python_reads_it(text: str) -> None:
    assert read_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "it has the name 'a' twice; allowed: once"),
        ('[{"b": {"a": 1, "a": 1}}]', "it has the name 'a' twice"),
        ("9" * 401, "it has a number of 401 digits; allowed: 18"),
        ("-Infinity", "it has the number -Infinity; allowed: finite numbers"),
        ("1e400", "it has the number '1e400'; allowed: finite numbers"),
        ("[" * 30_000, "it has more than 1000 brackets"),
        ("[" * 990 + "]" * 990, "it is nested too deeply"),
        (" " * 100_001, "it has 100001 characters; allowed: 100000"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(Refused, match="^" + message) as caught:
        read_json(text)
    assert not isinstance(caught.value, Malformed)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nope", '{"a": \x00}', "\ud800"])
def test_what_is_not_json_is_told_apart(text: str) -> None:
    with pytest.raises(Malformed):
        read_json(text)
