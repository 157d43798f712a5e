"""IDX files with MNIST's layout become data sets under a name of their own."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from dal_core.cli import main
from dal_core.data import catalogue
from dal_core.data.base import DataError
from dal_core.data.own.idx import add_idx

SIDE = 16


def idx(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    sizes = np.array([0x0800 + array.ndim, *array.shape], dtype=">u4").tobytes()
    return sizes + array.astype(np.uint8).tobytes()


def images_of(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8)


def written(
    folder: Path, labels: np.ndarray, test_labels: np.ndarray | None = None, start: str = ""
) -> Path:
    """A folder with these labels and noise for pictures; the test part is zipped."""
    folder.mkdir()
    (folder / f"{start}train-images-idx3-ubyte").write_bytes(idx(images_of(len(labels), 1)))
    (folder / f"{start}train-labels-idx1-ubyte").write_bytes(idx(labels))
    if test_labels is not None:
        part = "test" if start else "t10k"
        parts = ("images-idx3", images_of(len(test_labels), 2)), ("labels-idx1", test_labels)
        for kind, array in parts:
            path = folder / f"{start}{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(idx(array)))
    return folder


def test_training_images_come_first_and_test_images_are_its_own(
    tmp_path: Path, dal_home: Path
) -> None:
    labels, test = np.arange(60) % 10, np.arange(20) % 10
    about = add_idx(dal_home, written(tmp_path / "in", labels, test), "clothes")
    data = catalogue.load("clothes")
    assert data.test_ids is not None and data.test_ids.tolist() == list(range(60, 80))
    assert np.array_equal(data.images, np.concatenate([images_of(60, 1), images_of(20, 2)]))
    assert np.array_equal(data.labels, np.concatenate([labels, test]))
    assert data.class_names == tuple("0123456789")
    assert (about.image_shape, catalogue.get("clothes").test_set) == ((SIDE, SIDE), "own")


def test_the_letters_of_emnist_begin_at_one_and_are_set_upright(
    tmp_path: Path, dal_home: Path
) -> None:
    labels = np.arange(52) % 26 + 1
    add_idx(dal_home, written(tmp_path / "in", labels, labels, "emnist-letters-"), "letters")
    data = catalogue.load("letters")
    assert data.class_names == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert data.labels.tolist() == [*range(26)] * 4
    assert np.array_equal(data.images[:52], images_of(52, 1).transpose(0, 2, 1))


def test_without_a_test_part_each_seed_draws_test_images(tmp_path: Path, dal_home: Path) -> None:
    add_idx(dal_home, written(tmp_path / "in", np.arange(200) % 10), "usps", transposed=True)
    data = catalogue.load("usps")
    assert data.test_ids is None and catalogue.get("usps").test_set == "drawn"
    assert np.array_equal(data.images, images_of(200, 1).transpose(0, 2, 1))


def test_classes_can_be_named(tmp_path: Path, dal_home: Path) -> None:
    folder = written(tmp_path / "in", np.arange(30) % 3)
    with pytest.raises(DataError, match="2 classes are named, and the labels are of 3"):
        add_idx(dal_home, folder, "clothes", ("shirt", "shoe"))
    add_idx(dal_home, folder, "clothes", ("shirt", "shoe", "bag"))
    assert catalogue.load("clothes").class_name(2) == "bag"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("train-labels-idx1-ubyte", None, "has no train labels; allowed: train-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte", idx(images_of(2, 1)), "has no test labels; allowed"),
        ("train-labels-idx1-ubyte", idx(np.zeros(29)), "has 29 labels for 30 images"),
        ("train-labels-idx1-ubyte", idx(np.zeros(30))[:-1], "is cut off: its header says 30 bytes"),
        ("train-labels-idx1-ubyte", idx(np.zeros(30)) + b"x", "is longer than it says"),
        ("train-images-idx3-ubyte", idx(np.zeros(30)), "is no IDX file of bytes with 3 dimensions"),
        ("train-images-idx3-ubyte", b"\0\0\x08\x03" + b"\xff" * 12, "allowed: 1 to 1,000,000,000"),
        ("train-labels-idx1-ubyte", idx(np.full(30, 200)), "there are 201 classes; allowed: 2 to"),
    ],
)
def test_files_that_cannot_be_used_are_refused_in_one_line(
    tmp_path: Path, dal_home: Path, name: str, content: bytes | None, why: str
) -> None:
    folder = written(tmp_path / "in", np.arange(30) % 3)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=why) as refused:
        add_idx(dal_home, folder, "clothes")
    assert "\n" not in str(refused.value)
    assert "clothes" not in catalogue.DATASETS


def test_a_damaged_gz_is_refused_in_one_line(tmp_path: Path, dal_home: Path) -> None:
    folder = written(tmp_path / "in", np.arange(30) % 3, np.arange(9) % 3)
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match="cannot be read: Compressed file ended"):
        add_idx(dal_home, folder, "clothes")


def test_the_reports_procedure_runs_on_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    folder = written(tmp_path / "in", rng.permutation(400) % 10, np.arange(40) % 10)
    assert main(["data", "add", str(folder), "--name", "clothes", "--idx"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "clothes: 400 images for training and 40 for testing, 16 x 16 pixels"
    short = ("n_acquisition_steps=1", "n_epochs=2", "num_mc_samples=2")
    command = [
        "reproduce",
        "--protocol",
        "report",
        "--dataset",
        "clothes",
        "--seeds",
        "1",
        "--json",
    ]
    command += ["--acquisitions", "bald,random", "--no-full-data", "--workers", "1"]
    assert main([*command, *(f"--set={one}" for one in short)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["complete"] and len(found["runs"]) == 2
