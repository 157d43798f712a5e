"""A model's predictions on disk: whole, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dal_core.execution.predictions import (
    FILE_NAME,
    OLD_NAME,
    Predictions,
    load_predictions,
    save_predictions,
)


def predictions(n_labelled: int = 30) -> Predictions:
    mean = np.full((2, 10), 0.1, dtype=np.float32)
    return Predictions(np.array([7, 3]), mean, n_labelled, 4, 2)


def save_as_the_first_versions(folder: Path, n_labelled: int) -> None:
    one = predictions(n_labelled)
    model = np.array([one.n_labelled, one.after, one.corrected])
    np.savez(folder / OLD_NAME, image_ids=one.image_ids, mean=one.mean, model=model)


def same(one: Predictions | None, other: Predictions) -> bool:
    assert one is not None
    arrays = np.array_equal(one.image_ids, other.image_ids) and np.array_equal(one.mean, other.mean)
    state = (one.n_labelled, one.after, one.corrected)
    return arrays and state == (other.n_labelled, other.after, other.corrected)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert load_predictions(tmp_path / "run") is None
    save_predictions(tmp_path / "run", predictions())
    assert same(load_predictions(tmp_path / "run"), predictions())
    assert [path.name for path in (tmp_path / "run").iterdir()] == [FILE_NAME]


def test_a_damaged_file_is_none(tmp_path: Path) -> None:
    save_predictions(tmp_path, predictions())
    content = bytearray((tmp_path / FILE_NAME).read_bytes())
    content[-5] ^= 1
    (tmp_path / FILE_NAME).write_bytes(content)
    assert load_predictions(tmp_path) is None
    (tmp_path / FILE_NAME).write_bytes(content[: len(content) // 2])
    assert load_predictions(tmp_path) is None


def test_a_file_of_the_first_versions_is_read_until_there_is_a_new_one(tmp_path: Path) -> None:
    save_as_the_first_versions(tmp_path, n_labelled=20)
    assert same(load_predictions(tmp_path), predictions(20))
    save_predictions(tmp_path, predictions(30))
    assert same(load_predictions(tmp_path), predictions(30))
    assert not (tmp_path / OLD_NAME).exists()


def test_an_old_file_cut_short_is_none(tmp_path: Path) -> None:
    save_as_the_first_versions(tmp_path, n_labelled=20)
    content = (tmp_path / OLD_NAME).read_bytes()
    (tmp_path / OLD_NAME).write_bytes(content[: len(content) // 2])
    assert load_predictions(tmp_path) is None
