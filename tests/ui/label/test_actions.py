"""What the labelling page does, on a real store, with the work done in place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dal_core.data.base import ImageDataset
from dal_core.protocol.parameters import ProtocolError, override
from dal_core.protocol.presets import PRESETS
from dal_core.run.next_task import NextTask, Task, answers_itself
from dal_core.run.rows import NothingToUndo, Progress
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_ui.label import actions, words
from dal_ui.label.charts import baseline_beside
from dal_ui.label.last_batch import agreement, reveal
from dal_ui.label.view import batch_on_screen, find_view, has_moved, read_pulse, read_view
from tests import fast
from tests.ui_kit import InlineWorkers, asked_run, new_run, open_query, right_labels, submission


@pytest.fixture
def store(dal_home: Path) -> Store:
    return open_store(dal_home)


def answer(store: Store, dataset: ImageDataset, run_id: str, offset: int = 0) -> None:
    """Submit what is open, each label off by `offset`."""
    log = store.log(run_id)
    query = open_query(log)
    labels = {i: (label + offset) % 10 for i, label in right_labels(query, dataset).items()}
    assert actions.submit(store, log, submission(query, labels), "Ann").status == "saved"


def test_a_new_run_is_a_persons_and_asks_for_ten_different_images(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    view = read_view(store, run_id)
    assert view.log.run.kind == "person"
    assert view.log.run.title == "Ann"
    query, answered = batch_on_screen(view.log) or (None, None)
    assert query is not None and answered is None
    assert len(set(query.shown())) == 10
    assert view.latest is not None and view.latest.n_labelled == 20
    assert not view.next_task.has_work


def test_a_protocol_too_large_for_the_digits_makes_no_run(
    store: Store, mnist5k: ImageDataset
) -> None:
    huge = override(PRESETS["quick"], {"val_size": "4000"})
    with pytest.raises(ProtocolError):
        actions.start_run(store, mnist5k, huge, "bald", 1, "Ann")
    assert store.runs() == []


def test_listening_ends_with_news_or_with_patience(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    seen = read_pulse(store, run_id, None)
    assert not has_moved(store, run_id, None, seen, patience=0)
    with ThreadPoolExecutor(1) as listener:
        # Far more patience than a test has: it ends because there is news.
        moved = listener.submit(has_moved, store, run_id, None, seen, patience=600)
        answer(store, mnist5k, run_id)
        assert moved.result()


def test_nothing_is_on_screen_before_the_first_query(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k)
    view = read_view(store, run_id)
    assert batch_on_screen(view.log) is None
    assert "from 20 images" in words.first_fit(view.log)
    assert words.accuracy(view) == "accuracy: not measured yet"


def test_answered_images_stay_on_screen_until_the_next_query_comes(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    first = open_query(store.log(run_id))
    before = read_view(store, run_id).pulse
    answer(store, mnist5k, run_id)
    view = read_view(store, run_id)
    assert view.pulse != before
    query, answered = batch_on_screen(view.log) or (None, None)
    assert query == first and answered is not None
    assert words.working(view, None)[1] == "Saved. Starting ..."
    workers.work(run_id)
    second, answered = batch_on_screen(store.log(run_id)) or (None, None)
    assert second is not None and answered is None
    assert not set(second.shown()) & set(first.shown())


def test_wrong_labels_are_what_the_run_holds(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    query = open_query(store.log(run_id))
    answer(store, mnist5k, run_id, offset=1)
    held = dict(store.log(run_id).labels())
    assert held == {i: (int(mnist5k.labels[i]) + 1) % 10 for i in query.shown()}


def test_the_reveal_sets_each_label_beside_the_truth_and_the_prediction(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    query = open_query(store.log(run_id))
    probs = store.shown_probs(query.query_id)
    assert probs is not None
    skipped = query.ranking[:1]
    labels = right_labels(query, mnist5k, skipped)
    wrong = query.shown(skipped)[0]
    labels[wrong] = (labels[wrong] + 1) % 10
    actions.submit(store, store.log(run_id), submission(query, labels, skipped), "Ann")
    log = store.log(run_id)
    revealed = reveal(store, mnist5k, log)
    assert [one.image_id for one in revealed] == list(query.ranking[:11])
    assert revealed[0].given is None and not revealed[0].agrees
    assert revealed[1].image_id == wrong and not revealed[1].agrees
    assert all(one.agrees for one in revealed[2:])
    mean = probs.mean(0)
    assert revealed[1].predicted == int(mean[1].argmax())
    assert revealed[1].confidence == pytest.approx(float(mean[1].max()))
    assert agreement(mnist5k, log) == (9, 10)
    assert words.last_batch(revealed, "person").startswith(
        "Last 10: the data set agrees with you on 9."
    )
    assert "can't tell" in words.revealed(revealed[0], "person", mnist5k)


def test_the_oracles_answers_are_no_agreement_of_the_person(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    actions.hand_over(store, store.log(run_id), 1)
    workers.work(run_id)
    log = store.log(run_id)
    assert agreement(mnist5k, log) == (0, 0)
    assert "the oracle on 10" in words.last_batch(reveal(store, mnist5k, log), "oracle")


def test_the_oracle_answers_so_many_batches_and_hands_back(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    actions.hand_over(store, store.log(run_id), 2)
    assert answers_itself(store.log(run_id))
    workers.work(run_id)
    log = store.log(run_id)
    assert log.n_labelled == 40
    assert {s.source for s in log.submissions} == {"oracle"}
    assert log.open_query is not None and not answers_itself(log)
    assert log.labels() == [(i, int(mnist5k.labels[i])) for i, _ in log.labels()]


def test_a_run_taken_back_waits_for_the_person(store: Store, mnist5k: ImageDataset) -> None:
    run_id, workers = asked_run(store, mnist5k)
    actions.hand_over(store, store.log(run_id), None)
    actions.take_back(store, run_id)
    workers.work(run_id)
    assert store.log(run_id).n_labelled == 20
    assert not read_view(store, run_id).next_task.has_work


def test_to_the_end_means_the_protocols_last_step(store: Store, mnist5k: ImageDataset) -> None:
    run_id, workers = asked_run(store, mnist5k, n_acquisition_steps=2)
    actions.hand_over(store, store.log(run_id), None)
    workers.work(run_id)
    view = read_view(store, run_id)
    assert view.log.n_labelled == 40
    assert view.next_task.finished and not view.next_task.has_work
    assert [step.n_labelled for step in view.log.steps] == [20, 30, 40]
    assert "start a new run" in words.finished(view.next_task.finished)


def test_undo_asks_the_same_ten_again_and_stops_the_oracle(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    first = open_query(store.log(run_id))
    answer(store, mnist5k, run_id)
    actions.hand_over(store, store.log(run_id), None)
    assert words.left_out(store.log(run_id)) == "0 images skipped, 0 batches taken back"
    actions.undo(store, store.log(run_id))
    log = store.log(run_id)
    assert words.left_out(log) == "0 images skipped, 1 batch taken back"
    again = open_query(log)
    assert again.query_id != first.query_id and again.ranking == first.ranking
    assert log.n_labelled == 20 and not answers_itself(log)
    assert actions.take(store, run_id, submission(first, {}), "Ann") is None
    with pytest.raises(NothingToUndo):
        actions.undo(store, log)
    workers.work(run_id)
    assert open_query(store.log(run_id)).query_id == again.query_id


def test_a_click_on_undo_delivered_twice_takes_back_one_batch(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    for _ in range(2):
        answer(store, mnist5k, run_id)
        workers.work(run_id)
    seen = store.log(run_id)
    actions.undo(store, seen)
    with pytest.raises(NothingToUndo):
        actions.undo(store, seen)
    assert store.log(run_id).n_labelled == 30


def test_the_second_of_two_different_answers_is_told_what_is_stored(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    log = store.log(run_id)
    query = open_query(log)
    labels = right_labels(query, mnist5k)
    assert actions.submit(store, log, submission(query, labels), "Ann").status == "saved"
    assert actions.submit(store, log, submission(query, labels), "Ann").status == "already"
    other = actions.submit(store, log, submission(query, dict.fromkeys(labels, 0)), "Ann")
    assert other.status == "refused"
    stored = ", ".join(str(label) for label in labels.values())
    assert f"Stored labels: {stored}, by Ann at" in words.refused(other, mnist5k)
    assert other.submission is not None
    foreign = replace(other, submission=replace(other.submission, annotator="[Ann](http://x)"))
    assert "by \\[Ann\\]" in words.refused(foreign, mnist5k)  # a name is shown as text
    assert dict(store.log(run_id).labels()) == labels


def test_the_baseline_has_the_same_start_and_comes_as_far_as_the_run(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    answer(store, mnist5k, run_id)
    workers.work(run_id)
    actions.ask_baseline(store, mnist5k, read_view(store, run_id))
    view = read_view(store, run_id)
    actions.ask_workers(store, workers, view)  # type: ignore[arg-type]
    assert view.baseline is not None
    assert workers.asked == {view.baseline.run.run_id: False}
    workers.work()
    view = read_view(store, run_id)
    assert view.baseline is not None
    assert [step.n_labelled for step in view.baseline.steps] == [20, 30]
    assert view.baseline.steps[0].accuracy == view.log.steps[0].accuracy
    assert view.random_beside == view.baseline.steps[1]
    assert "· random" in words.accuracy(view)


def test_a_baseline_that_is_further_than_the_run_is_drawn_as_far_as_the_run(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    actions.ask_baseline(store, mnist5k, read_view(store, run_id))
    view = read_view(store, run_id)
    assert view.baseline is not None
    assert baseline_beside(view) is None  # not measured yet
    store.set_directives(view.baseline.run.run_id, oracle_until=40)  # by an experiment, say
    workers.work(view.baseline.run.run_id)
    answer(store, mnist5k, run_id)
    view = read_view(store, run_id)
    assert view.baseline is not None
    assert [step.n_labelled for step in view.baseline.steps] == [20, 30, 40]
    drawn = baseline_beside(view)
    assert drawn is not None
    assert drawn.n_labelled == (20, 30)
    assert drawn.accuracy == tuple(step.accuracy for step in view.baseline.steps[:2])


def test_a_baseline_that_an_experiment_paused_goes_on_as_far_as_the_run_and_no_further(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    actions.ask_baseline(store, mnist5k, read_view(store, run_id))
    view = read_view(store, run_id)
    assert view.baseline is not None
    store.set_directives(view.baseline.run.run_id, oracle_until=1000, paused=True)
    actions.ask_baseline(store, mnist5k, read_view(store, run_id))
    baseline = store.run(view.baseline.run.run_id)
    assert (baseline.oracle_until, baseline.paused) == (20, False)


def test_a_baseline_that_fails_is_tried_again_once_a_batch_and_not_by_drawing_the_page(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)

    def draw() -> None:
        view = read_view(store, run_id)
        if actions.ask_baseline(store, mnist5k, view):
            view = read_view(store, run_id)
        actions.ask_workers(store, workers, view)  # type: ignore[arg-type]

    draw()
    (baseline,) = (run.run_id for run in store.runs() if run.baseline)
    assert baseline in workers.asked
    workers.asked.clear()
    store.add_failure(baseline, "OSError: the disk is full")
    draw()
    draw()
    assert baseline not in workers.asked
    answer(store, mnist5k, run_id)
    draw()
    assert baseline in workers.asked


def test_equal_runs_share_one_baseline_and_a_random_one_of_the_oracle_needs_none(
    store: Store, mnist5k: ImageDataset
) -> None:
    for acquisition in ("bald", "max_entropy", "random"):
        run_id = new_run(store, mnist5k, acquisition)
        actions.ask_baseline(store, mnist5k, read_view(store, run_id))
    baselines = [run for run in store.runs() if run.baseline]
    assert len(baselines) == 1
    actions.ask_baseline(store, mnist5k, read_view(store, baselines[0].run_id))
    assert len([run for run in store.runs() if run.baseline]) == 1


def test_a_person_who_waits_comes_first_and_an_oracles_run_does_not(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = new_run(store, mnist5k), InlineWorkers(store)
    actions.ask_workers(store, workers, read_view(store, run_id))  # type: ignore[arg-type]
    assert workers.asked == {run_id: True}
    actions.hand_over(store, store.log(run_id), None)
    actions.ask_workers(store, workers, read_view(store, run_id))  # type: ignore[arg-type]
    assert workers.asked == {run_id: False}


def test_in_continuous_mode_nobody_is_held_up_once_there_is_something_to_label(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = actions.start_run(store, mnist5k, fast.protocol(), "bald", 1, "Ann", mode="continuous")
    workers = InlineWorkers(store)
    actions.ask_workers(store, workers, read_view(store, run_id))  # type: ignore[arg-type]
    assert workers.asked == {run_id: True}
    workers.work(run_id)
    answer(store, mnist5k, run_id)
    actions.ask_workers(store, workers, read_view(store, run_id))  # type: ignore[arg-type]
    assert workers.asked == {run_id: False}


def test_work_that_failed_is_left_alone_until_somebody_asks_again(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = new_run(store, mnist5k), InlineWorkers(store)
    store.add_failure(run_id, "ValueError: no")
    actions.ask_workers(store, workers, read_view(store, run_id))  # type: ignore[arg-type]
    assert workers.asked == {}
    store.retry(run_id)
    actions.ask_workers(store, workers, read_view(store, run_id))  # type: ignore[arg-type]
    assert workers.asked == {run_id: True}


def test_an_answer_sets_failed_work_going_again(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    store.add_failure(run_id, "ValueError: no")
    answer(store, mnist5k, run_id)
    assert store.log(run_id).failure is None


def test_an_unknown_run_has_no_view(store: Store) -> None:
    assert find_view(store, "bald-s1-nobody") is None


@pytest.mark.parametrize(
    ("progress", "share", "text"),
    [
        (
            Progress("train", 30, 25, 100, 1.25, 3.2),
            0.25,
            "Training on 30 labels: epoch 25 of 100, training loss 1.250, 3 s left",
        ),
        (
            Progress("train", 30, 1, 100, 0.0, 3.2),
            0.01,
            "Training on 30 labels: epoch 1 of 100, training loss 0.000, 3 s left",
        ),
        (Progress("score", 30, 500, 2000), 0.25, "Choosing the next batch: 500 of 2,000 images"),
        (Progress("evaluate", 30, 10, 10), 1.0, "Measuring on test images: 10 of 10 images"),
        (Progress("idle"), 0.0, "Starting ..."),
        (None, 0.0, "Starting ..."),
    ],
)
def test_the_state_line_says_what_is_being_done(
    store: Store, mnist5k: ImageDataset, progress: Progress | None, share: float, text: str
) -> None:
    view = read_view(store, new_run(store, mnist5k))
    assert words.working(view, progress) == (share, text)


def test_the_state_line_says_how_far_the_oracle_answers(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    actions.hand_over(store, store.log(run_id), 3)
    text = words.working(read_view(store, run_id), None)[1]
    assert text == "The oracle answers up to 50 labels. Starting ..."


def test_the_state_line_says_that_an_earlier_measurement_is_made_up(
    store: Store, mnist5k: ImageDataset
) -> None:
    view = read_view(store, new_run(store, mnist5k))
    made_up = replace(view, next_task=NextTask(Task.MAKE_UP))
    said = "Making up an earlier measurement. Measuring on test images: 10 of 20 images"
    assert words.working(made_up, Progress("evaluate", 20, 10, 20)) == (0.5, said)
