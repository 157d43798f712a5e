"""The file with the facts of an own data set comes from a disk: it is checked before it is used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dal_core.data.base import DataCorrupt
from dal_core.data.own.about import ABOUT, read_about
from dal_core.limits.text import visible

GOOD = {
    **{"format": 1, "name": "birds", "kind": "pictures", "class_names": ["a", "b"]},
    **{"image_shape": [28, 28], "n_images": 4, "n_known": 4, "n_test": 0, "rarest": 2},
    **{"pixel_mean": [0.1], "pixel_std": [0.3], "fingerprint": "0" * 64, "source": "/birds"},
    "added_at": "2026-11-28T00:00:00+00:00",
}


def refusal(folder: Path, facts: dict[str, object]) -> str:
    (folder / ABOUT).write_text(json.dumps(facts))
    with pytest.raises(DataCorrupt) as refused:
        read_about(folder)
    return str(refused.value)


def test_what_a_damaged_file_says_is_quoted_without_control_characters(tmp_path: Path) -> None:
    said = refusal(tmp_path, {**GOOD, "\x9e\x1b[2J": 1})
    assert "is damaged: " in said and "x9e" in said and visible(said) == said


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ABOUT).write_text(json.dumps(GOOD))
    assert read_about(tmp_path).class_names == ("a", "b")


@pytest.mark.parametrize("name", GOOD)
def test_a_file_without_one_of_its_facts_is_damaged(tmp_path: Path, name: str) -> None:
    assert ABOUT in refusal(tmp_path, {key: GOOD[key] for key in GOOD if key != name})
