"""The pages as Streamlit runs them, without a browser: forms, buttons and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from benchmarks import start_curve
from dal_core.acquisition import registry
from dal_core.data.base import DataMissing, ImageDataset
from dal_core.experiments.control import create_run
from dal_core.protocol import posteriors
from dal_core.protocol.presets import for_people, preset
from dal_core.results.published import REPORT_FUNCTIONS
from dal_core.results.titles import display_name
from dal_core.run.events import Answer
from dal_core.run.next_task import answers_itself
from dal_core.store.base import Store
from dal_core.store.run_lock import run_lock
from dal_ui.label import actions
from dal_ui.label.measured import caption, measured
from dal_ui.label.plain import SKIP
from dal_ui.shared import person, runtime
from dal_ui.shared.markdown import plain
from dal_ui.shared.methods import GROUPS
from dal_ui.tour.card import VIEW_KEY
from dal_ui.tour.stops import REPLAY
from tests import fast
from tests.ui_kit import InlineWorkers, asked_run, new_run, open_query, resumed_elsewhere

APP = str(Path(__file__).resolve().parents[2] / "app.py")
SECONDS = 60

pytestmark = pytest.mark.usefixtures("workers")


def label_page(run_id: str = "", name: str = "Ann", **address: str) -> AppTest:
    """The labelling page with the run in the address, in the browser of a person of that name."""
    page = AppTest.from_file(APP, default_timeout=SECONDS)
    if name:
        page.session_state[person.NAME] = name
    for name, value in {"run": run_id, **address}.items():
        if value:
            page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def runs_page(run_id: str = "") -> AppTest:
    page = AppTest.from_file(APP, default_timeout=SECONDS).run().switch_page("pages/runs.py")
    if run_id:
        page.query_params["run"] = run_id
    page.run()
    assert not page.exception
    return page


def click(page: AppTest, label: str) -> AppTest:
    (button,) = [button for button in page.button if button.label == label]
    assert not button.disabled
    button.click().run()
    assert not page.exception
    return page


def button(page: AppTest, label: str) -> object:
    return next((b for b in page.button if b.label == label), None)


def texts(page: AppTest) -> str:
    parts = (page.markdown, page.caption, page.error, page.warning, page.success, page.info)
    return "\n".join(element.value for kind in parts for element in kind)


def choose(page: AppTest, choices: list[str]) -> AppTest:
    """Choose in the plain form, image by image, and submit."""
    boxes = [box for box in page.selectbox if box.label.startswith("Image ")]
    for box, choice in zip(boxes, choices, strict=True):
        box.set_value(choice)
    return click(page, f"Submit {len(boxes)} labels")


# -- start -------------------------------------------------------------------------------------


def test_one_click_on_the_start_form_makes_a_run_and_opens_it(store: Store) -> None:
    page = label_page(name="")
    assert texts(page).startswith("The network looks through thousands")
    click(page, "Start labelling")
    (run,) = [run for run in store.runs() if run.kind == "person"]
    assert page.query_params["run"] == [run.run_id]
    assert (run.title, run.spec.acquisition, run.spec.seed) == ("", for_people().acquisition, 1)
    assert page.session_state[person.NAME] == "me"
    assert run.spec.protocol == for_people().protocol(preset("quick"))
    assert "· quick · Ensemble, 5 networks · seed 1" in texts(page)
    assert "The network is learning from 20 images" in texts(page)


def test_the_start_form_takes_what_is_chosen(store: Store) -> None:
    page = label_page()
    page.text_input[0].set_value("Ada")
    page.text_input[1].set_value("first try")
    page.radio(key="way").set_value("As in the report").run()
    function = page.selectbox(key="function-As in the report")
    assert tuple(function.options) == tuple(map(titled, REPORT_FUNCTIONS))
    function.set_value("max_entropy")
    page.number_input[0].set_value(7)
    click(page, "Start labelling")
    run = next(run for run in store.runs() if run.kind == "person")
    assert (run.title, run.spec.acquisition, run.spec.seed) == ("first try", "max_entropy", 7)
    assert run.spec.protocol == preset("quick")
    assert page.session_state[person.NAME] == "Ada"


def titled(name: str) -> str:
    return f"{display_name(name)} · {GROUPS[registry.get(name).group]}"


def test_every_function_and_every_posterior_that_can_serve_it_is_offered(store: Store) -> None:
    page = label_page()
    page.radio(key="way").set_value("All ways").run()
    function, posterior = page.selectbox(key="function-All ways"), page.selectbox(key="posterior")
    assert sorted(function.options) == sorted(map(titled, registry.names()))
    assert function.options[0] == titled("bald_coverage")
    assert "Deterministic network" not in posterior.options
    assert "Deterministic network: not offered, since nothing can disagree" in texts(page)
    function.set_value("epig").run()
    assert "QUAM" not in page.selectbox(key="posterior").options
    assert "QUAM: not offered, since it looks at one image at a time, and " in texts(page)
    function.set_value("entropy_coverage").run()
    posterior = page.selectbox(key="posterior")
    assert posterior.options == [entry.title for entry in posteriors.posteriors()]
    posterior.set_value("deterministic").run()
    assert "One network and one prediction, for comparison" in texts(page)
    click(page, "Start labelling")
    run = next(run for run in store.runs() if run.kind == "person")
    protocol = run.spec.protocol
    assert run.spec.acquisition == "entropy_coverage"
    assert (protocol.posterior, protocol.num_mc_samples) == ("deterministic", 1)


def test_a_posterior_that_no_longer_serves_the_chosen_function_is_not_kept(store: Store) -> None:
    page = label_page()
    page.radio(key="way").set_value("All ways").run()
    page.selectbox(key="function-All ways").set_value("entropy_coverage").run()
    page.selectbox(key="posterior").set_value("deterministic").run()
    page.selectbox(key="function-All ways").set_value("bald").run()
    assert not page.exception
    click(page, "Start labelling")
    run = next(run for run in store.runs() if run.kind == "person")
    assert run.spec.acquisition == "bald" and run.spec.protocol.posterior != "deterministic"


def test_the_curve_beside_the_form_has_the_numbers_of_its_record(store: Store) -> None:
    content, runs = measured()
    assert content == start_curve.content(content["source"], content["function"])
    assert {run.acquisition for run in runs} == {content["function"], "random"}
    assert caption() in texts(label_page())


def test_a_run_waits_for_the_retrained_model_unless_it_is_asked_never_to_wait(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    page = click(label_page(), "Start labelling")
    assert "· strict · **20** labels" in texts(page)
    page = label_page()
    page.toggle(key="continuous").set_value(True).run()
    click(page, "Start labelling")
    assert "· continuous · **20** labels" in texts(page)
    modes = {run.mode for run in store.runs() if run.kind == "person"}
    assert modes == {"strict", "continuous"}


def test_in_continuous_mode_there_is_always_something_to_label_and_its_age_is_said(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    protocol = fast.protocol()
    run_id = actions.start_run(store, mnist5k, protocol, "bald", 1, "Ann", mode="continuous")
    workers.work(run_id)
    page = label_page(run_id, plain="1")
    assert "by the newest model, trained on 20 labels." in texts(page)
    for age in (10, 20):  # nobody trains meanwhile
        choose(page, list("0123456789"))
        assert f"by the model trained on 20 labels, {age} labels ago." in texts(page)
    workers.work(run_id)
    assert store.log(run_id).n_labelled == 40
    choose(label_page(run_id, plain="1"), list("0123456789"))
    query = open_query(store.log(run_id))
    assert (query.n_labelled, query.asked_by) == (50, 40)


def test_data_that_are_not_here_offer_their_download_and_no_start(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = runtime.dataset

    def dataset(name: str) -> ImageDataset:
        if name == "mnist":
            raise DataMissing("MNIST is not in /nowhere")
        return here(name)

    monkeypatch.setattr(runtime, "dataset", dataset)
    page = label_page()
    page.selectbox[0].set_value("mnist").run()
    assert "MNIST is not in /nowhere" in texts(page)
    assert button(page, "Download MNIST (70,000 images)") is not None
    assert button(page, "Start labelling") is None
    assert store.runs() == []


def test_the_start_form_offers_to_continue_a_run(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k)
    page = label_page()
    (continue_,) = [b for b in page.button if b.label.startswith("Ann: BALD, 20 labels")]
    click(page, continue_.label)
    assert page.query_params["run"] == [run_id]


# -- label -------------------------------------------------------------------------------------


def test_ten_answers_in_the_plain_form_are_saved(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    query = open_query(store.log(run_id))
    choose(page := label_page(run_id, plain="1"), list("0123456789"))
    log = store.log(run_id)
    assert log.labels() == [(image_id, i) for i, image_id in enumerate(query.shown())]
    assert log.submissions[0].annotator == "Ann"
    assert "**30** labels" in texts(page)
    assert "Last 10: the data set agrees with you on" in texts(page)


def test_an_incomplete_plain_form_saves_nothing(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = label_page(run_id, plain="1")
    page.selectbox[0].set_value("3")
    click(page, "Submit 10 labels")
    assert "9 of 10 images have no label yet. Nothing was saved." in texts(page)
    assert store.log(run_id).submissions == ()


def test_a_skipped_image_is_replaced_and_the_other_labels_stay(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    query = open_query(store.log(run_id))
    page = label_page(run_id, plain="1")
    choose(page, [SKIP, *"123456789"])
    boxes = [box for box in page.selectbox if box.label.startswith("Image ")]
    assert [box.value for box in boxes] == [*"123456789", None]
    assert store.log(run_id).submissions == ()
    choose(page, [*"123456789", "0"])
    (submission,) = store.log(run_id).submissions
    assert submission.skipped == query.ranking[:1]
    assert submission.labels == dict(zip(query.ranking[1:11], [*range(1, 10), 0], strict=True))


def test_undo_on_the_page_asks_the_same_ten_again(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    first = open_query(store.log(run_id))
    page = choose(label_page(run_id, plain="1"), list("0123456789"))
    workers.work()
    click(page, "Undo the last batch")
    assert open_query(store.log(run_id)).ranking == first.ranking
    assert "**20** labels" in texts(page)
    assert next(b for b in page.button if b.label == "Undo the last batch").disabled


def test_the_oracle_answers_at_a_click_and_is_paused_at_another(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = click(label_page(run_id), "The next batch")
    assert store.run(run_id).oracle_until == 30
    workers.work()
    page.run()
    assert store.log(run_id).n_labelled == 30
    assert "the oracle on 10" in texts(page)
    click(page, "To the end of the run")
    assert button(page, "The next batch") is None
    click(page, "Pause: hand back to me")
    assert not answers_itself(store.log(run_id))
    assert "Label the images that BALD has chosen." in texts(page)


def test_several_steps_are_as_many_as_are_said(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = label_page(run_id)
    page.number_input[0].set_value(3).run()
    click(page, "The next 3 batches")
    assert store.run(run_id).oracle_until == 50


def test_a_finished_run_says_so_and_what_can_be_done_next(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id, _ = asked_run(store, mnist5k, n_acquisition_steps=1)
    actions.hand_over(store, store.log(run_id), None)
    workers.work(run_id)
    page = label_page(run_id)
    assert "Finished: all 1 acquisition steps are done." in texts(page)
    assert page.get("download_button")
    click(page, "New run")
    assert "run" not in page.query_params
    assert button(page, "Start labelling") is not None


def test_failed_work_is_said_and_can_be_tried_again(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id = new_run(store, mnist5k)
    store.add_failure(run_id, "OSError: disk full")
    page = label_page(run_id)
    assert "Work on this run failed: OSError: disk full" in texts(page)
    assert run_id not in workers.asked
    click(page, "Try again")
    assert run_id in workers.asked


def test_a_failure_that_cannot_be_stored_is_said_too(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id = new_run(store, mnist5k)
    workers.failures[run_id] = "OSError: No space left on device"
    page = label_page(run_id)
    said = f"Work on this run failed: {plain(workers.failures[run_id])}. Nothing can be written"
    assert said in texts(page)


def test_an_unknown_run_is_said_and_a_new_one_offered(store: Store) -> None:
    page = label_page("bald-s1-nobody")
    assert f"There is no run “{plain('bald-s1-nobody')}” here." in texts(page)
    click(page, "Start a new run")
    assert button(page, "Start labelling") is not None


def test_a_run_on_other_data_is_not_opened(store: Store, mnist5k: ImageDataset) -> None:
    spec = actions.RunSpec("0" * 64, fast.protocol(), "bald", 1)
    run = store.create_run(spec, kind="person", n_initial=20, split_sizes={"pool": 100})
    page = label_page(run.run_id)
    assert "This run used other data than mnist5k holds now" in texts(page)
    assert [r.run_id for r in store.runs()] == [run.run_id]  # not even a baseline was made


def test_a_title_is_shown_as_text(store: Store, mnist5k: ImageDataset) -> None:
    run_id = actions.start_run(store, mnist5k, fast.protocol(), "bald", 1, "**A** [x](http://y)")
    assert "\\*\\*A\\*\\* \\[x\\]" in texts(label_page(run_id))


# -- review and cost ---------------------------------------------------------------------------


def test_the_review_lists_every_label_and_says_what_to_do_without_any(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = click(label_page(run_id, plain="1"), "Review")
    assert "There are no labels yet. Label the images above" in texts(page)
    choose(page, list("0123456789"))
    assert "10 labels, 0 skipped, 0 corrected" in texts(page)
    labels = store.log(run_id).labels()
    (table,) = [frame.value for frame in page.dataframe if "your label" in frame.value]
    assert sorted(zip(table["number"], table["your label"].astype(int), strict=True)) == sorted(
        labels
    )
    page.text_input(key="review-search").set_value("99999").run()
    assert "No matching labels. Search for something else, or show all labels." in texts(page)
    click(page, "Review")
    assert "0 corrected" not in texts(page)


def test_an_open_review_is_the_runs_own_and_the_next_run_begins_without_it(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = click(label_page(run_id, plain="1"), "Review")
    assert "Review your labels" in [heading.value for heading in page.subheader]
    click(page, "New run")
    click(page, "Start labelling")
    assert page.query_params["run"] != [run_id]
    assert "Review your labels" not in [heading.value for heading in page.subheader]


def test_points_measured_before_a_correction_are_explained(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    choose(label_page(run_id, plain="1"), list("0123456789"))
    workers.work(run_id)
    hollow = "Hollow points were measured before you corrected a label."
    assert hollow not in texts(label_page(run_id))
    image_id, label = store.log(run_id).labels()[0]
    store.correct(run_id, image_id, (label + 1) % 10, annotator="Ann")
    assert hollow in texts(label_page(run_id))


def test_the_charts_can_be_over_minutes_once_times_were_measured(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = label_page(run_id)
    assert page.toggle(key="over-minutes").disabled
    assert "no time measured yet" in texts(page)
    log = store.log(run_id)
    query = open_query(log)
    answers = [Answer(i, 1, 2.0) for i in query.shown()]
    store.submit(query.query_id, answers, annotator="Ann", source="person")
    page.run()
    assert "2.0 s per image, 0.3 min in total" in texts(page)
    page.toggle(key="over-minutes").set_value(True).run()
    assert not page.exception


# -- runs --------------------------------------------------------------------------------------


def test_without_runs_the_runs_page_says_what_to_do(store: Store) -> None:
    page = runs_page()
    assert "No runs yet." in texts(page)
    click(page, "Start a run")
    assert button(page, "Start labelling") is not None


def test_the_runs_page_lists_every_run_newest_first(store: Store, mnist5k: ImageDataset) -> None:
    first, _ = asked_run(store, mnist5k)
    second = new_run(store, mnist5k, "max_entropy")
    table = runs_page().dataframe[0].value
    assert list(table["id"]) == [second, first]
    assert list(table["function"]) == ["Max entropy", "BALD"]
    assert list(table["labels"]) == [20, 20]
    assert table["accuracy"].isna().tolist() == [True, False]
    assert list(table["answered by"]) == ["person", "person"]


def test_a_run_without_a_title_is_called_by_its_id_once(
    store: Store, mnist5k: ImageDataset
) -> None:
    spec = actions.RunSpec(mnist5k.fingerprint, fast.protocol(), "bald", 1)
    run_id = create_run(store, mnist5k, spec).run_id
    titled = new_run(store, mnist5k)
    table = runs_page(run_id).dataframe[0].value
    row = table[table["id"] == run_id].astype(str)
    assert (row == run_id).sum().sum() == 1
    assert list(table["title"]) == ["Ann", ""]
    for one, name in ((run_id, f"`{run_id}`"), (titled, f"**Ann** · `{titled}`")):
        said = texts(runs_page(one))
        assert f"{name} · BALD on mnist5k, protocol " in said and f"Delete {name}" in said
        assert said.count(one) == 2


def test_the_columns_that_matter_most_stand_where_a_narrow_window_shows_them(
    store: Store, mnist5k: ImageDataset
) -> None:
    new_run(store, mnist5k)
    table = runs_page().dataframe[0]
    configured = json.loads(table.proto.columns)
    widths = [configured[name]["width"] for name in table.value.columns]
    assert list(table.value.columns)[7:] == ["data set", "seed", "protocol"]
    assert sum(widths[:7]) <= 730  # of 800 pixels: the margins and the box to choose a row


def test_a_run_is_opened_from_the_runs_page(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k)
    page = click(runs_page(run_id), "Open")
    assert page.query_params["run"] == [run_id]
    assert "The network is learning from 20 images" in texts(page)


def test_a_run_is_deleted_when_that_is_confirmed(store: Store, mnist5k: ImageDataset) -> None:
    kept, gone = new_run(store, mnist5k), new_run(store, mnist5k)
    page = runs_page(gone)
    assert "This cannot be undone." in texts(page)
    click(page, "Yes, delete this run")
    assert [run.run_id for run in store.runs()] == [kept]
    assert f"Deleted **Ann** · `{gone}`." in texts(page)
    assert "run" not in page.query_params


def test_a_run_that_is_worked_on_is_not_deleted(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k)
    page = runs_page(run_id)
    with run_lock(store.home, run_id):
        click(page, "Yes, delete this run")
    assert f"Run {run_id} is in use" in texts(page)
    assert [run.run_id for run in store.runs()] == [run_id]


def test_a_run_offers_its_labels_its_record_and_its_model(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    labels = [element.proto.label for element in runs_page(run_id).get("download_button")]
    assert labels == [
        *("Labels (CSV)", "Labels (JSON lines)", "Record (YAML)"),
        *("Model (safetensors)", "How to use the model (predict.py)"),
    ]


def test_a_run_says_from_when_on_it_was_computed_elsewhere_and_what_differed(
    store: Store, mnist5k: ImageDataset
) -> None:
    here = new_run(store, mnist5k)
    there, change = resumed_elsewhere(store, mnist5k)
    said = plain(f"Resumed elsewhere, so bits may differ; from 30 labels on: {change}.")
    assert said in texts(runs_page(there))
    assert "Resumed" not in texts(runs_page(here))
    page = AppTest.from_file(APP, default_timeout=SECONDS).run().switch_page("pages/explain.py")
    page.session_state[VIEW_KEY] = REPLAY
    page.query_params["run"] = there
    assert said in texts(page.run())
    assert not page.exception


def test_an_unknown_run_in_the_address_of_the_runs_page_is_said(
    store: Store, mnist5k: ImageDataset
) -> None:
    new_run(store, mnist5k)
    assert "There is no run “nobody” here." in texts(runs_page("nobody"))
