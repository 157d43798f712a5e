"""`dal data add`, `list` and `remove` with pictures of one's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dal_core.cli import main
from tests.data.own.folders import by_class, flat


def dal(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    """Standard output of a command, or its last line of error."""
    capsys.readouterr()
    assert main([str(one) for one in arguments]) == code
    out, err = capsys.readouterr()
    return err.splitlines()[-1] if code else out


def test_a_folder_is_brought_in_listed_verified_and_removed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = by_class(tmp_path / "in")
    (folder / "red" / "letter.jpg").write_text("Dear Sir")
    said = dal(capsys, "data", "add", folder, "--name", "colours", "--size", "32").splitlines()
    assert said == [
        "colours: 12 pictures taken as 32 x 32 pixels, colour",
        "3 classes: blue, green, red",
        "12 have a class, 0 have none yet",
        "not taken, is not a picture of a known kind: 1 (red/letter.jpg)",
    ]
    assert "colours (12 images, 3 classes)" in dal(capsys, "data", "list")
    assert "colours: 12 images in" in dal(capsys, "data", "verify", "colours")
    error = dal(capsys, "data", "remove", "colours", code=2)
    assert error == "dal: NAME is 'colours'; add --yes to remove it, nothing was removed"
    dal(capsys, "data", "remove", "colours", "--yes")
    assert "colours" not in dal(capsys, "data", "list")
    assert len(list(folder.rglob("*.png"))) == 12


def test_a_data_set_belongs_to_the_home_that_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, dal_home: Path
) -> None:
    folder, other = by_class(tmp_path / "in"), tmp_path / "other"
    dal(capsys, "data", "add", folder, "--name", "colours", "--home", other)
    assert os.environ["DAL_HOME"] == str(dal_home)
    assert "colours" not in dal(capsys, "data", "list")
    assert "colours" in dal(capsys, "data", "list", "--home", other)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--name", "A b"], "--name is 'A b'; allowed: up to 40 small letters"),
        (["--name", "x", "--size", "30"], "--size is '30'; allowed: 28, 32, 64"),
        (["--name", "x", "--classes", "a,a"], "--classes is 'a,a', with 'a' twice"),
        (["--name", "x", "--classes", "a"], "there are 1 class, 'a'; allowed: 2 to 100"),
        (["--name", "x", "--classes-from", "/no/file"], "/no/file cannot be read: No such file"),
        (["--name", "x", "--labels", "/no/file.csv"], "/no/file.csv cannot be read: No such file"),
        (["--name", "x", "--classes", "a,b", "--classes-from", "f"], "allowed: one of them"),
        (["--name", "mnist"], "name is 'mnist', which is built in; allowed: another name"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_nothing_is_brought_in(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    dal_home: Path,
    options: list[str],
    why: str,
) -> None:
    folder = by_class(tmp_path / "in")
    capsys.readouterr()
    assert main(["data", "add", str(folder), *options]) in (1, 2)
    error = capsys.readouterr().err
    assert why in error.splitlines()[-1]
    assert not list(dal_home.glob("datasets/*"))


def test_classes_can_come_from_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("red\n\n  green \nblue\n")
    folder = flat(tmp_path / "in", n=1)
    said = dal(capsys, "data", "add", folder, "--name", "c", "--classes-from", names, "--grey")
    assert "3 classes: red, green, blue" in said and "64 x 64 pixels, grey" in said


def test_a_run_of_the_oracle_works_on_labelled_pictures(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = by_class(tmp_path / "in", n=20)
    dal(capsys, "data", "add", folder, "--name", "colours", "--size", "28")
    short = ["n_epochs=4", "num_mc_samples=4", "n_acquisition_steps=1", "train_size=6"]
    run = ["run", "--dataset", "colours", *(f"--set={one}" for one in short), "--json"]
    steps = json.loads(dal(capsys, *run))["steps"]
    assert [step["n_labelled"] for step in steps] == [6, 16]
    assert all(0 <= step["accuracy"] <= 1 for step in steps)
    error = dal(capsys, "data", "remove", "colours", "--yes", code=2)
    assert "which 1 runs use" in error
