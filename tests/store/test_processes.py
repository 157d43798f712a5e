"""The store under several threads and processes, and when a process is killed."""

from __future__ import annotations

import threading
from pathlib import Path

from dal_core.run.events import Query
from dal_core.run.rows import Progress, SubmitOutcome
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests.store_kit import answers_to, ask, give, line_of, new_run, python

SUBMIT = """
import sys, time
from pathlib import Path
from tests.store_kit import answers_to
from dal_core.store.base import Store
from dal_core.store.opening import open_store
home, run_id, offset = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = open_store(home)
query = store.log(run_id).open_query
print("ready")
sys.stdin.readline()
answers = answers_to(query, offset=offset)
outcome = store.submit(query.query_id, answers, annotator=f"ann-{offset}", source="person")
print(outcome.status, outcome.submission.annotator)
time.sleep(60)
"""

WRITE = """
import itertools
import sys
import threading
from pathlib import Path
from tests.store_kit import ask, give
from dal_core.run.rows import Progress
from dal_core.store.base import Store
from dal_core.store.opening import open_store
store = open_store(Path(sys.argv[1]))
enough = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), enough.set()), daemon=True).start()
for turn in itertools.takewhile(lambda _: not enough.is_set(), itertools.count()):
    query = ask(store, sys.argv[2], range(turn * 100, turn * 100 + 100))
    give(store, query)
    store.set_progress(sys.argv[2], Progress("train", epoch=turn))
print("done")
"""

CREATE = """
import sys
from pathlib import Path
from tests.store_kit import new_run
from dal_core.store.base import Store
from dal_core.store.opening import open_store
print("ready")
sys.stdin.readline()
print(new_run(open_store(Path(sys.argv[1]))).run_id)
"""


def test_what_submit_returned_as_saved_survives_a_kill(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    with python(SUBMIT, tmp_path, run_id, 3) as annotator:
        assert line_of(annotator) == "ready"
        annotator.stdin.write("go\n")  # type: ignore[union-attr]
        annotator.stdin.flush()  # type: ignore[union-attr]
        assert line_of(annotator) == "saved ann-3"
        annotator.kill()
    stored = open_store(tmp_path, create=False).log(run_id).submissions
    assert [one.answers for one in stored] == [tuple(answers_to(query, offset=3))]


def test_of_two_processes_that_submit_at_once_one_is_saved(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    ask(store, run_id, range(100))
    first, second = (python(SUBMIT, tmp_path, run_id, offset) for offset in (1, 2))
    with first, second:
        both = (first, second)
        assert [line_of(one) for one in both] == ["ready", "ready"]
        for one in both:
            one.stdin.write("go\n")  # type: ignore[union-attr]
            one.stdin.flush()  # type: ignore[union-attr]
        lines = sorted(line_of(one) for one in both)
        for one in both:
            one.kill()
    (stored,) = store.log(run_id).submissions
    assert lines == [f"refused {stored.annotator}", f"saved {stored.annotator}"]


def submit_at_once(store: Store, query: Query, offsets: list[int]) -> list[SubmitOutcome]:
    """One thread per offset, all let go together, all of the same annotator."""
    barrier = threading.Barrier(len(offsets))
    outcomes: list[SubmitOutcome] = []

    def submit(offset: int) -> None:
        barrier.wait()
        outcomes.append(give(store, query, answers_to(query, offset=offset)))

    threads = [threading.Thread(target=submit, args=(offset,)) for offset in offsets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_of_many_threads_that_submit_at_once_one_is_saved(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    same = submit_at_once(store, ask(store, run_id, range(100)), [0] * 8)
    assert sorted(outcome.status for outcome in same) == ["already"] * 7 + ["saved"]
    different = submit_at_once(store, ask(store, run_id, range(100, 200)), list(range(8)))
    assert sorted(outcome.status for outcome in different) == ["refused"] * 7 + ["saved"]
    log = store.log(run_id)
    assert len(log.submissions) == 2
    assert {outcome.submission for outcome in same + different} == set(log.submissions)


def test_a_reader_sees_whole_submissions_while_another_process_writes(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    seen: list[int] = []
    with python(WRITE, tmp_path, run_id) as writer:
        while len(set(seen)) < 4:  # the lock is not given in a fair order
            assert writer.poll() is None
            log = store.log(run_id)
            assert all(len(one.answers) == 10 for one in log.submissions)
            assert log.n_labelled == 20 + 10 * len(log.submissions)
            store.set_progress(run_id, Progress("score"))
            seen.append(len(log.submissions))
        writer.stdin.write("enough\n")  # type: ignore[union-attr]
        writer.stdin.flush()  # type: ignore[union-attr]
        assert line_of(writer) == "done"
    assert seen == sorted(seen)
    assert len(store.log(run_id).submissions) >= seen[-1]


def test_several_processes_may_create_the_home_at_once(tmp_path: Path) -> None:
    processes = [python(CREATE, tmp_path / "home") for _ in range(4)]
    for process in processes:
        assert line_of(process) == "ready"
    for process in processes:
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    made = sorted(line_of(process) for process in processes)
    for process in processes:
        process.communicate()
    assert sorted(run.run_id for run in open_store(tmp_path / "home").runs()) == made
