"""Every door through which a title enters the store has the same rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests.store_kit import ask, give, new_run, spec

LONG = "x" * 201


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "home")


def of_a_run(store: Store, title: str) -> str:
    return new_run(store, title=title).title


def of_a_fork(store: Store, title: str) -> str:
    origin = new_run(store)
    give(store, ask(store, origin.run_id, range(100)))
    return store.fork_run(origin.run_id, 0, spec=spec(), title=title).title


def of_an_experiment(store: Store, title: str) -> str:
    run_id = new_run(store).run_id
    return store.experiments.create(title, spec().protocol, ["bald"], [1], False, [run_id]).title


DOORS = (of_a_run, of_a_fork, of_an_experiment)


@pytest.mark.parametrize("door", DOORS)
def test_a_title_is_stored_without_blanks_at_its_ends(
    store: Store, door: Callable[[Store, str], str]
) -> None:
    assert door(store, "  my run ") == "my run"
    assert door(store, " ") == ""


@pytest.mark.parametrize("title", [LONG, "a\x1b[2Jb", "a\nb", "\u200b"])
@pytest.mark.parametrize("door", DOORS)
def test_a_title_that_breaks_the_rule_is_refused(
    store: Store, door: Callable[[Store, str], str], title: str
) -> None:
    with pytest.raises(ValueError, match=r"^title (is|has) "):
        door(store, title)

    assert all(run.title == "" for run in store.runs()) and store.experiments.all() == []
