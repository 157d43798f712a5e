"""A home that cannot be written can be read, and says so when something would be changed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dal_core.cli import main
from dal_core.run.rows import Progress, StoreFailed
from dal_core.store.opening import open_store
from dal_core.store.sqlite import read_only
from tests.store_kit import ask, give, new_run

OLD_HOME = Path(__file__).resolve().parent.parent / "old_home" / "home"


def labelled(home: Path) -> str:
    store = open_store(home)
    run_id = new_run(store).run_id
    give(store, ask(store, run_id, range(100)))
    store.close()
    return run_id


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every home is taken for read-only; a test may not be able to mount one."""
    monkeypatch.setattr(read_only, "is_writable", lambda path: False)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A home on a disk that is mounted read-only, with one labelled run."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command here")
    made = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a disk cannot be mounted here: {made.stderr.strip()}")
    try:
        labelled(folder)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def contents(home: Path) -> dict[Path, bytes]:
    """Every file but locks, which a folder that can be written gets."""
    files = [path for path in home.rglob("*") if path.is_file() and path.name != "lock"]
    return {path: path.read_bytes() for path in files}


def check(home: Path, run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = contents(home)
    store = open_store(home)
    assert store.read_only
    log = store.log(run_id)
    assert log.n_labelled == 30
    store.set_progress(run_id, Progress("idle"))
    store.checkpoint()
    for change in (
        lambda: store.undo(run_id),
        lambda: store.set_directives(run_id, paused=True),
        lambda: new_run(store),
        lambda: store.delete_run(run_id),
    ):
        with pytest.raises((StoreFailed, OSError), match=r"(?i)read-only"):
            change()
    assert store.log(run_id) == log
    store.close()
    assert main(["show", run_id, "--home", str(home)]) == 0
    assert "is read-only" in capsys.readouterr().err
    assert main(["runs", "--home", str(home)]) == 0
    assert run_id in capsys.readouterr().out
    assert main(["run", "--protocol", "quick", "--home", str(home)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is read-only" in line
    assert contents(home) == files


def test_a_home_on_a_read_only_disk(mounted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_id,) = open_store(mounted, create=False).run_ids()
    check(mounted, run_id, capsys)


def test_a_home_taken_for_read_only(
    tmp_path: Path, unwritable: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_only, "is_writable", lambda path: True)
        run_id = labelled(tmp_path)
    check(tmp_path, run_id, capsys)


def test_a_home_of_an_earlier_version_is_read_from_a_copy(tmp_path: Path, unwritable: None) -> None:
    before = (OLD_HOME / "dal.db").read_bytes()
    home = tmp_path / "home"
    home.mkdir()
    (home / "dal.db").write_bytes(before)
    store = open_store(home, create=False)
    assert len(store.survey().runs) == len(store.run_ids()) > 5
    with pytest.raises(StoreFailed, match="read-only"):
        store.set_directives(store.run_ids()[0], paused=True)
    copied = store._copy  # type: ignore[attr-defined]
    store.close()
    assert not copied.parent.exists()
    assert [path.name for path in home.iterdir()] == ["dal.db"]
    assert (home / "dal.db").read_bytes() == before
