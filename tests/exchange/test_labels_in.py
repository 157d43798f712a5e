"""Label files from outside: what is read, and what is refused in one line."""

from __future__ import annotations

import time

import pytest

from dal_core.exchange.labels_in import MAX_ROWS, GivenLabel, LabelFileError, read_labels

HEAD = "image_id,image_sha256,label,step"
HASH = "0" * 64


def csv_of(*rows: str, head: str = HEAD) -> bytes:
    return "\n".join([head, *rows]).encode()


def refusal(content: bytes) -> str:
    with pytest.raises(LabelFileError) as caught:
        read_labels(content, 10)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 300
    return message


def test_whole_numbers_are_read_as_pandas_writes_them_beside_an_empty_cell() -> None:
    rows = read_labels(csv_of(f"4.0,{HASH},7.0,1.0", f"5,{HASH},,1"), 10)
    assert [(row.image_id, row.label, row.step) for row in rows] == [(4, 7, 1), (5, None, 1)]
    assert read_labels(b'{"image_id": 4.0, "image_sha256": "a", "label": 7.0, "step": 1}', 10)


@pytest.mark.parametrize("label", ["7.5", "7.0.0", "7.", "1e0", "-1", "10", "?", "٣", "0x1", "7 "])
def test_what_is_no_label_is_refused_with_what_is_allowed(label: str) -> None:
    message = refusal(csv_of(f"4,{HASH},{label},1"))
    assert message == (f"line 2: label is {label!r}; allowed: 0 to 9, or empty for a skipped image")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (csv_of("1,a,2,1,3", head=HEAD + ",label"), "line 1 names the column 'label' twice"),
        (b'{"label": 1, "label": 2}', "line 1: it has the name 'label' twice; allowed: once"),
        (b'[{"image_id": 1}]', "the file is a JSON array; allowed: JSON Lines"),
        (b"  \n[\n]", "the file is a JSON array"),
        (b'{"label": NaN}', "line 1: it has the number NaN; allowed: finite numbers"),
        (b'{"label": 1e999}', "line 1: it has the number '1e999'; allowed: finite numbers"),
        (b'{"a":' * 900, "line 1 is not a JSON object"),
        (b'{"a":' * 30_000, "line 1: it has 150000 characters; allowed: 100000"),
        (b'{"a": ' + b"[" * 30_000, "line 1: it has more than 1000 brackets"),
        (csv_of(f'1,"{HASH},2,1'), "line 2 is not CSV: a quoted cell is never closed"),
        (
            csv_of(f"1,{HASH},2,1", f"2,{HASH},2,1", f'3,"{HASH},2,1'),
            "line 4 is not CSV: a quoted cell is never closed",
        ),
        (csv_of('1,"' + "x" * 200_000), "line 2 is not CSV: field larger than field limit"),
        (csv_of(head=",".join(map(str, range(200)))), "line 1 has 200 columns; allowed: at most"),
        (
            csv_of(f"1,{HASH},2,1,a\x1bb", head=HEAD + ",annotator"),
            r"line 2: annotator is 'a\x1bb', with the character U+001B",
        ),
        (csv_of(f"1,{HASH},2,1," + "x" * 201, head=HEAD + ",annotator"), "line 2: annotator has"),
        (csv_of(*["1,a,2,1"] * (MAX_ROWS + 1)), f"line {MAX_ROWS + 2} is row {MAX_ROWS + 1}"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_in_one_line(content: bytes, message: str) -> None:
    assert refusal(content).startswith(message)


def test_a_row_after_a_cell_of_several_lines_keeps_its_line() -> None:
    assert refusal(csv_of('1,"a\nb\nc",2,1', f"2,{HASH},x,1")).startswith("line 5: label is 'x'")


def test_the_largest_file_is_read_within_seconds() -> None:
    head = HEAD + ",position,annotator,source,at,seconds"
    row = f"{{}},{HASH},3,1,{{}},ann,person,2026-01-31T12:00:00.000+00:00,1.25"
    content = csv_of(*(row.format(i, i) for i in range(MAX_ROWS)), head=head)
    begun = time.thread_time()
    rows = read_labels(content, 10)
    assert len(rows) == MAX_ROWS and isinstance(rows[0], GivenLabel)
    assert time.thread_time() - begun < 10
