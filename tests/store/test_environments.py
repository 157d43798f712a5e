"""Every step says where it was computed; equal environments are stored once."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dal_core.run.environment import Environment, changes, differences
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary
from dal_core.store import versions
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.store.sqlite import connections, schema
from tests.store_kit import ask, give, new_result, new_run

HERE = Environment(torch="2.13.0", device="cpu", cpu_capability="AVX2", data="a" * 64)
ELSEWHERE = replace(HERE, torch="2.14.0", device="cuda", device_name="H100")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def measure(store: Store, run_id: str, where: Environment | None) -> None:
    """Answer a query unless the run has just begun, then measure."""
    log = store.log(run_id)
    if log.steps:
        give(store, ask(store, run_id, range(log.n_labelled, log.n_labelled + 20)))
        log = store.log(run_id)
    result = new_result(log.n_labelled, log.after)
    assert store.add_step(run_id, replace(result, environment=where))


def test_a_step_is_read_back_with_its_environment(store: Store) -> None:
    run_id = new_run(store).run_id
    for where in (HERE, None, ELSEWHERE):
        measure(store, run_id, where)
    views: list[RunState | RunSummary] = [
        store.log(run_id),
        open_store(store.home).log(run_id),
        *store.summaries([run_id]),
    ]
    for log in views:
        assert [step.environment for step in log.steps] == [HERE, None, ELSEWHERE]


def test_equal_environments_are_stored_once(store: Store) -> None:
    for run_id in (new_run(store).run_id, new_run(store).run_id):
        for where in (HERE, HERE, ELSEWHERE):
            measure(store, run_id, where)
    engine = connections.make_engine(store.home / schema.DATABASE_FILE, "FULL")
    with engine.connect() as connection:
        rows = connection.scalar(select(func.count()).select_from(schema.environments))
    engine.dispose()
    assert rows == 2


def test_a_fork_keeps_where_its_copied_steps_were_computed(store: Store) -> None:
    run = new_run(store)
    for where in (HERE, ELSEWHERE):
        measure(store, run.run_id, where)
    fork = store.fork_run(run.run_id, store.log(run.run_id).after, spec=run.spec)
    assert [s.environment for s in store.log(fork.run_id).steps] == [HERE, ELSEWHERE]


def test_changes_name_what_differs_and_skip_what_is_unknown() -> None:
    found = differences(HERE, ELSEWHERE)
    assert found == ["torch 2.13.0 then, 2.14.0 now", "device cpu then, cuda now"]
    assert changes([None, HERE, None, HERE]) == []
    assert [place for place, _ in changes([HERE, HERE, None, ELSEWHERE, HERE])] == [3, 4]


# dal's commit


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_of_the_working_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    git(tmp_path, "tag", "-a", "v1", "-m", "a tag does not replace the commit")
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook of another repository
    assert versions._commit_of_tree(tmp_path) == git_head(tmp_path)
    (tmp_path / "file").write_text("two")
    assert versions._commit_of_tree(tmp_path) == f"{git_head(tmp_path)}-dirty"


def git_head(folder: Path) -> str:
    head = (folder / ".git" / "HEAD").read_text().removeprefix("ref: ").strip()
    return (folder / ".git" / head).read_text().strip()


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_without_git_or_a_repository_the_commit_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    (tmp_path / ".git").mkdir()  # damaged
    if path:
        monkeypatch.setenv("PATH", path)
    assert versions._commit_of_tree(tmp_path) is None
    assert versions._commit_installed("no-such-package") is None
