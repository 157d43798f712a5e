"""People change people's runs only; what others count on stays as the oracle left it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dal_core.protocol.presets import preset
from dal_core.run.events import Answer, AnsweredBatch
from dal_core.run.ownership import RunReadOnly, mixed_answers
from dal_core.run.rows import RunRow
from dal_core.run.rules import AnswerError
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests.store_kit import answers_to, as_in_earlier_versions, ask, give, new_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def answered(store: Store, **settings: object) -> RunRow:
    """A run with one batch by the oracle and an open query."""
    run = new_run(store, **settings)
    query = ask(store, run.run_id, range(20))
    store.submit(query.query_id, answers_to(query), annotator="oracle", source="oracle")
    ask(store, run.run_id, range(20, 40))
    return run


def of_an_experiment(store: Store, run: RunRow) -> str:
    row = store.experiments.create("", preset("quick"), ["bald"], [1], False, [run.run_id])
    return row.experiment_id


@pytest.mark.parametrize("settings", [{}, {"baseline": True}, {"title": "tour"}])
@pytest.mark.parametrize("has_experiment", [False, True])
def test_people_cannot_change_a_run_of_the_oracle(
    store: Store, settings: dict[str, object], has_experiment: bool
) -> None:
    run = answered(store, kind="oracle", **settings)
    experiment_id = of_an_experiment(store, run) if has_experiment else ""
    before = store.log(run.run_id)
    reason = store.why_read_only(run.run_id)
    assert reason is not None and "\n" not in reason
    assert experiment_id in reason and "fork it to go on by hand" in reason
    assert before.open_query is not None
    outcome = give(store, before.open_query)
    assert (outcome.status, outcome.reason) == ("refused", reason)
    with pytest.raises(RunReadOnly, match="fork it"):
        store.undo(run.run_id)
    with pytest.raises(RunReadOnly, match="fork it"):
        store.correct(run.run_id, 3, 8, annotator="ann")
    assert store.log(run.run_id) == before


def test_a_persons_run_that_joins_an_experiment_becomes_read_only(store: Store) -> None:
    run = answered(store)
    assert store.why_read_only(run.run_id) is None
    experiment_id = of_an_experiment(store, run)
    assert experiment_id in (store.why_read_only(run.run_id) or "")
    store.experiments.delete(experiment_id)
    store.undo(run.run_id)


def test_the_oracle_still_answers_its_own_runs(store: Store) -> None:
    run = answered(store, kind="oracle")
    of_an_experiment(store, run)
    query = store.log(run.run_id).open_query
    assert query is not None
    outcome = store.submit(query.query_id, answers_to(query), annotator="oracle", source="oracle")
    assert outcome.status == "saved"


def test_a_persons_fork_of_the_oracles_run_is_theirs(store: Store) -> None:
    run = answered(store, kind="oracle")
    before = store.log(run.run_id)
    fork = store.fork_run(run.run_id, before.after, spec=run.spec, kind="person")
    assert store.why_read_only(fork.run_id) is None
    give(store, ask(store, fork.run_id, range(20, 40)))
    store.correct(fork.run_id, 3, 8, annotator="ann")
    log = store.log(fork.run_id)
    assert log.answerers == ("oracle", "person ann")
    assert mixed_answers(log) is None
    assert store.log(run.run_id) == before


# Whose answers


def test_whose_answers_a_run_holds_is_known_of_its_log_and_its_summary(store: Store) -> None:
    run = answered(store)
    for annotator in ("ann", "ben", "ann"):
        query = store.log(run.run_id).open_query
        assert query is not None
        give(store, query, annotator=annotator)
        start = 20 * store.log(run.run_id).n_submissions
        ask(store, run.run_id, range(start, start + 20))
    store.correct(run.run_id, 3, 8, annotator="cat")
    expected = ("oracle", "person ann", "person ben", "person cat")
    assert store.log(run.run_id).answerers == expected
    assert store.summaries([run.run_id])[0].answerers == expected
    for _ in range(4):
        store.undo(run.run_id)
    assert store.log(run.run_id).answerers == ()
    assert store.summaries([run.run_id])[0].answerers == ()


@pytest.mark.parametrize("kind", ["oracle", "person"])
def test_what_people_did_in_a_run_of_the_oracle_in_earlier_versions_is_found(
    store: Store, kind: str
) -> None:
    run = answered(store, kind=kind)
    experiments = [of_an_experiment(store, run)]
    assert mixed_answers(store.log(run.run_id), experiments) is None
    query = store.log(run.run_id).open_query
    assert query is not None
    with as_in_earlier_versions():
        give(store, query)
        store.correct(run.run_id, 3, 8, annotator="ben")
    found = mixed_answers(store.log(run.run_id), experiments)
    assert found is not None and "10 answers and 1 corrections by people (ann, ben)" in found
    assert (mixed_answers(store.log(run.run_id)) is None) == (kind == "person")


def test_a_fork_for_the_oracle_may_begin_with_a_persons_answers(store: Store) -> None:
    run = new_run(store)
    give(store, ask(store, run.run_id, range(20)))
    fork = store.fork_run(run.run_id, store.log(run.run_id).after, spec=run.spec)
    assert fork.kind == "oracle"
    assert store.log(fork.run_id).answerers == ("person ann",)
    assert mixed_answers(store.log(fork.run_id)) is None


# Names


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[31m", "x" * 201, "\u200b"])
def test_a_name_that_breaks_the_rule_is_refused_at_every_door(store: Store, name: str) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(20))
    with pytest.raises(AnswerError, match=r"^annotator (is|has) [^\n]*$"):
        give(store, query, annotator=name)
    give(store, query)
    with pytest.raises(AnswerError, match=r"^annotator (is|has) [^\n]*$"):
        store.correct(run_id, 3, 8, annotator=name)
    batch = AnsweredBatch(name, "person", None, (Answer(3, 1),))
    with pytest.raises(AnswerError, match=r"^annotator (is|has) [^\n]*$"):
        new_run(store, answered=[batch])
    assert len(store.runs()) == 1


def test_blanks_around_a_name_are_dropped(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(20))
    saved = give(store, query, annotator=" ann ").submission
    assert saved is not None and saved.annotator == "ann"
    assert give(store, query, annotator="ann\n").status == "already"


def test_a_message_sent_again_after_a_change_of_name_is_the_same_one(store: Store) -> None:
    query = ask(store, new_run(store).run_id, range(20))
    more = {"source": "person", "nonce": "n1"}
    first = store.submit(query.query_id, answers_to(query), annotator="ann", **more)
    again = store.submit(query.query_id, answers_to(query), annotator="ben", **more)
    assert (again.status, again.submission) == ("already", first.submission)
    other = store.submit(query.query_id, answers_to(query), annotator="ben", source="person")
    assert (other.status, other.reason) == ("refused", "ann has answered this query")
