"""YAML from outside: what is read, and what is refused while it is read."""

from __future__ import annotations

import math
import time
import tracemalloc
from pathlib import Path

import pytest
import yaml

from dal_core.limits.refused import Malformed, Refused
from dal_core.limits.yaml_text import YamlLimits, read_yaml

ROOT = Path(__file__).resolve().parents[2]
LIMITS = YamlLimits(characters=10_000_000, values=200_000)
FEW = YamlLimits(characters=1_000, values=10, depth=3, text=5, digits=4, references=2)

RECORDS = sorted(
    path for folder in ("results", "tests/old_home") for path in (ROOT / folder).rglob("*.yaml")
)


def merge_bomb(n: int) -> str:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}, *a{i - 1}]}}" for i in range(1, n)]
    return "\n".join(lines)


def alias_bomb(n: int) -> str:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, n)]
    return "\n".join(lines)


BOMBS = {
    "a nest of lists": "[" * 30_000,
    "a nest of mappings": "{a: " * 30_000,
    "a nest of block lists": "- " * 30_000,
    "a nest of keys": "? " * 30_000,
    "merge keys": merge_bomb(8),
    "references": alias_bomb(9),
    "a reference to itself": "&a [*a]",
    "a flat list of 2 MB": "[" + "1," * 1_000_000 + "1]",
    "a flat mapping of 2 MB": "\n".join(f"k{i}: 1" for i in range(200_001)),
    "a text of 2 MB": "a: " + "x" * 2_000_000,
    "directives": "".join(f"%TAG !{i}! a\n" for i in range(30_000)) + "--- 1",
    "documents": "--- 1\n" * 100_000,
    "references without end": "a: &a 1\nb: [" + "*a," * 5_000 + "]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_attack_is_refused_within_a_second_and_100_mb(name: str) -> None:
    begun = time.thread_time()
    tracemalloc.start()
    with pytest.raises(Refused) as caught:
        read_yaml(BOMBS[name], LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.thread_time() - begun < 5  # tracing makes it several times slower
    assert peak < 100e6
    message = str(caught.value)
    assert len(message) < 300 and message.isprintable()


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_record_of_the_repository_is_read_as_pyyaml_reads_it(path: Path) -> None:
    text = path.read_text()
    assert repr(read_yaml(text, LIMITS)) == repr(yaml.safe_load(text))


def test_there_are_records_to_compare() -> None:
    assert len(RECORDS) > 20


@pytest.mark.parametrize(
    "text",
    [
        "[1, -2, +3, 0, 1.5, -1., .5, 1.0e-10, 2.5E+3, 1e-05, -.5]",
        "[yes, No, ON, off, true, FALSE, y, n, null, ~, Null, '', \"\"]",
        "[.inf, -.INF, +.Inf]",
        "a:\nb: 'x'\nc: \"y\\n\"\nd: |\n  two\n  lines\n",
        "a:\n- 1\n- [2, {b: 3}]\n- - 4\n",
        "x: &x [1, 2]\ny: *x\nz: {q: *x}",
        "? a\n: b",
        "--- \na: 1\n...",
        "'1'",
        "1: one\nfalse: yes",
    ],
)
def test_ordinary_yaml_is_read_as_pyyaml_reads_it(text: str) -> None:
    assert repr(read_yaml(text, LIMITS)) == repr(yaml.safe_load(text))


def test_not_a_number_is_read() -> None:
    assert math.isnan(read_yaml(".nan", LIMITS))


@pytest.mark.parametrize("text", ["010", "0x10", "0b1", "1_000", "1:30", "2020-01-31", "=", "08"])
def test_what_only_a_computer_reads_as_a_number_stays_text(text: str) -> None:
    assert read_yaml(text, LIMITS) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "line 2 has the key 'a' a second time; allowed: once"),
        ("{1: 1, true: 2}", "line 1 has the key True a second time"),
        ("a: 1\n<<: {b: 2}", r"line 2 has a merge key \(<<\)"),
        ("a: !!bool x", r"line 1 has the tag 'tag:yaml.org,2002:bool'; allowed: none"),
        ("!!timestamp x", "line 1 has the tag "),
        ("! x", "line 1 has the tag '!'"),
        ("!!python/tuple [1]", "line 1 has the tag "),
        ("%YAML 1.1\n--- 1", "line 1 starts with %; directives are not allowed"),
        ("--- 1\n--- 2", "line 2 starts a second document; allowed: one"),
        ("[a]: 1", "line 1 has a list or a mapping as a key; allowed: a single value"),
        ("{? {a: b} : c}", "line 1 has a list or a mapping as a key"),
        ("x: &x [1]\n? *x\n: 1", "line 2 has a list or a mapping as a key"),
        ("*x", "line 1 refers to 'x', which is not defined before"),
        ('"\\e[2J"', r"line 1 has control characters in '\\x1b\[2J'; allowed: none"),
        ("abcdef", "line 1 has a text of 6 characters; allowed: 5"),
        ("1234567", "line 1 has a number of 7 digits; allowed: 4"),
        ("[[[[1]]]]", "line 1 is nested too deeply; allowed: 3"),
        ("[1,2,3,4,5,6,7,8,9,0]", "line 1 expands into too many values; allowed: 10"),
        ("[&x 1, *x, *x, *x]", "line 1 has reference 3; allowed: 2"),
        ("[&x [[1]], [*x]]", "line 1 is nested too deeply"),
        ("[&x [1,2,3,4], *x]", "line 1 expands into too many values"),
        (" " * 1_001, "it has 1001 characters; allowed: 1000"),
    ],
)
def test_what_is_over_a_limit_or_not_allowed_is_named_with_its_line(
    text: str, message: str
) -> None:
    with pytest.raises(Refused, match="^" + message) as caught:
        read_yaml(text, FEW)
    assert not isinstance(caught.value, Malformed)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["a: [1,", "a: b: c", "'", "", "# only a remark", "\0", "\ud800"])
def test_what_is_not_yaml_is_told_apart(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_yaml(text, LIMITS)
    assert str(caught.value).isprintable()
