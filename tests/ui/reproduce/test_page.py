"""The reproduction page: its plain functions, then the page itself with stand-in workers."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.experiments.status import ExperimentStatus, State
from dal_core.protocol.parameters import ProtocolError
from dal_core.protocol.presets import changes_from_preset
from dal_core.protocol.run_spec import FULL_DATA
from dal_core.record_file.differences import differing, unnamed
from dal_core.record_file.io import read_record
from dal_core.results.curves import RunCurve
from dal_core.results.statistics import statistics
from dal_core.results.tables import tables
from dal_core.run.rows import Progress
from dal_core.store.base import Store
from dal_core.store.home import default_home
from dal_core.store.opening import open_store
from dal_ui.reproduce import actions
from dal_ui.reproduce.actions import Plan
from dal_ui.reproduce.compare import needed_side_by_side, sources, unmeasured
from dal_ui.reproduce.estimate import estimate, sentence
from dal_ui.reproduce.results import shown_columns, zipped_report
from dal_ui.reproduce.statistics import at_labels, left_out
from dal_ui.shared import runtime
from tests.report_record import report_record, report_runs

APP = Path(__file__).resolve().parents[3] / "app.py"
TINY = "\n".join(
    [
        *("n_epochs=2", "num_mc_samples=2", "n_acquisition_steps=2", "val_size=50"),
        *("test_size=100", "pool_subset_size=100", "test_subset_size=50"),
    ]
)


class StandIn:
    """Workers that do the work in this process, when told to."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.asked: list[str] = []
        self.held = False

    def ask(self, run_id: str, **_: object) -> None:
        if run_id not in self.asked:
            self.asked.append(run_id)

    def is_active(self, run_id: str) -> bool:
        return run_id in self.asked

    def warm_up(self) -> None:
        """There is no process to start."""

    def person_goes_first(self) -> bool:
        return self.held

    def work(self, store: Store, max_steps: int | None = None) -> None:
        """Do what was asked, each run at most so many steps."""
        bench = Workbench(store)
        for run_id in self.asked:
            for _ in advance(bench, run_id, max_steps=max_steps):
                pass
        self.asked.clear()


@pytest.fixture
def store(dal_home: Path) -> Store:
    return open_store(dal_home)


def tiny_plan(*acquisitions: str, seeds: str = "1", full_data: bool = False) -> Plan:
    names = acquisitions or ("bald", "random")
    return actions.make_plan("quick", "mnist5k", names, seeds, full_data, TINY)


def finished_experiment(store: Store, dataset: ImageDataset, plan: Plan) -> str:
    experiment_id = actions.start(store, dataset, plan)
    workers = StandIn(default_home())
    for run in store.experiments.runs(experiment_id):
        workers.ask(run.run_id)
    workers.work(store)
    return experiment_id


# -- what the form's values mean -----------------------------------------------------------------


def test_parameter_lines_change_the_protocol_and_nothing_else() -> None:
    plan = actions.make_plan(
        "report", "mnist", ["bald"], "1", True, "# as released\nweights=last\n\nn_epochs = 7\n"
    )
    assert changes_from_preset(plan.protocol) == {"weights": "last", "n_epochs": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=3", "parameter '=3'; allowed: KEY=VALUE, such as n_epochs=50"),
        ("n_epochs=1\nn_epochs=2", "parameter 'n_epochs' is set twice; allowed: once"),
        ("n_epochs=0", "n_epochs is 0; allowed: a whole number, at least 1 and at most 100000"),
        ("dataset=mnist", "parameter 'dataset' is chosen above; remove it from the changes"),
    ],
)
def test_a_wrong_parameter_line_is_one_line_that_says_what_is_allowed(
    text: str, message: str
) -> None:
    with pytest.raises(ProtocolError) as error:
        actions.make_plan("quick", "mnist5k", ["bald"], "1", False, text)
    assert str(error.value) == message


def test_a_posterior_is_chosen_by_name_with_as_many_samples_as_it_usually_has() -> None:
    plan = actions.make_plan("quick", "mnist5k", ["bald"], "1", False, posterior="ensemble")
    assert changes_from_preset(plan.protocol) == {"num_mc_samples": 5, "posterior": "ensemble"}
    same = actions.make_plan("report", "mnist", ["bald"], "1", False, posterior="mc_dropout")
    assert not changes_from_preset(same.protocol)
    with pytest.raises(ProtocolError, match="'posterior' is chosen above"):
        actions.make_plan(
            *("quick", "mnist5k", ["bald"], "1", False, "posterior=ensemble"),
            posterior="deterministic",
        )


def test_an_experiment_without_a_function_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"^no acquisition function is chosen"):
        actions.make_plan("quick", "mnist5k", [], "1", True)


def test_a_plan_has_a_run_per_function_and_seed_and_a_bound_per_seed() -> None:
    specs = tiny_plan("bald", "random", seeds="1, 2", full_data=True).specs("f")
    assert [(spec.acquisition, spec.seed) for spec in specs] == [
        *(("bald", 1), ("random", 1), (FULL_DATA, 1)),
        *(("bald", 2), ("random", 2), (FULL_DATA, 2)),
    ]


# -- how long it will take -------------------------------------------------------------------------


def test_without_a_similar_run_the_time_is_said_to_be_unknown(store: Store) -> None:
    plan = tiny_plan()
    found = estimate(store, "nothing of this data", plan)
    assert (found.seconds, found.n_runs, found.n_stored) == (None, 2, 0)
    assert "unknown" in sentence(found, plan, 2)


def test_similar_runs_in_the_store_give_an_estimate(store: Store, mnist5k: ImageDataset) -> None:
    done = finished_experiment(store, mnist5k, tiny_plan("bald"))
    took = [run.seconds_spent for run in look(store, done).runs]
    plan = tiny_plan("bald", seeds="2-5")
    found = estimate(store, mnist5k.fingerprint, plan)
    assert found.seconds is not None
    assert 0.2 < found.seconds / (4 * sum(took)) < 5
    assert "estimated from similar stored runs" in sentence(found, plan, 2)


def test_runs_measured_already_cost_nothing(store: Store, mnist5k: ImageDataset) -> None:
    plan = tiny_plan("random")
    finished_experiment(store, mnist5k, plan)
    found = estimate(store, mnist5k.fingerprint, plan)
    assert (found.seconds, found.n_stored) == (0.0, 1)
    assert "everything is already computed" in sentence(found, plan, 2)


def test_a_bound_never_timed_is_left_out_and_said_so(store: Store, mnist5k: ImageDataset) -> None:
    finished_experiment(store, mnist5k, tiny_plan("random"))
    plan = tiny_plan("random", full_data=True)
    found = estimate(store, mnist5k.fingerprint, plan)
    assert found.without_bounds and found.seconds == 0.0
    assert "plus full-data training" in sentence(found, plan, 2)


# -- how an experiment stands ----------------------------------------------------------------------


def look(store: Store, experiment_id: str) -> ExperimentStatus:
    now = actions.find(store, experiment_id)
    assert now is not None
    return now


def test_pause_resume_and_stop_are_told_apart(store: Store, mnist5k: ImageDataset) -> None:
    experiment_id = actions.start(store, mnist5k, tiny_plan())
    assert look(store, experiment_id).state is State.UNFINISHED
    control.pause(store, experiment_id)
    assert look(store, experiment_id).state is State.PAUSED
    control.resume(store, experiment_id)
    assert look(store, experiment_id).state is State.UNFINISHED
    control.stop(store, experiment_id)
    assert look(store, experiment_id).state is State.STOPPED


def test_after_a_stop_no_run_begins_and_resume_goes_on_to_the_end(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = actions.start(store, mnist5k, tiny_plan())
    workers = StandIn(default_home())
    control.ask_workers(workers, look(store, experiment_id))  # type: ignore[arg-type]
    control.stop(store, experiment_id)
    workers.work(store)
    assert look(store, experiment_id).n_done == 0
    control.resume(store, experiment_id)
    control.ask_workers(workers, look(store, experiment_id))  # type: ignore[arg-type]
    workers.work(store)
    assert look(store, experiment_id).state is State.COMPLETE


def test_a_failed_run_is_left_alone_until_somebody_says_try_again(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = actions.start(store, mnist5k, tiny_plan())
    failing = store.experiments.runs(experiment_id)[0].run_id
    store.add_failure(failing, "OSError: disk full")
    now, workers = look(store, experiment_id), StandIn(default_home())
    control.ask_workers(workers, now)  # type: ignore[arg-type]
    assert failing not in workers.asked and len(workers.asked) == 1
    run = next(run for run in now.runs if run.log.run.run_id == failing)
    assert actions.doing(run, held=False) == "failed"
    actions.try_again(store, run)
    control.ask_workers(workers, look(store, experiment_id))  # type: ignore[arg-type]
    assert failing in workers.asked


def test_an_experiment_whose_runs_all_failed_says_failed(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = actions.start(store, mnist5k, tiny_plan("bald"))
    for run in store.experiments.runs(experiment_id):
        store.add_failure(run.run_id, "no memory")
    assert look(store, experiment_id).state is State.FAILED


def test_a_row_says_what_its_run_is_doing(store: Store, mnist5k: ImageDataset) -> None:
    experiment_id = actions.start(store, mnist5k, tiny_plan("bald"))
    run_id = store.experiments.runs(experiment_id)[0].run_id
    store.set_progress(run_id, Progress("train", 20, 1, 2))
    now = look(store, experiment_id)
    assert actions.run_rows(now, held=False) == [
        {
            "function": "BALD",
            "seed": 1,
            "steps": "0 of 3",
            "progress": 0,
            "labels": 20,
            "accuracy": "",
            "doing": "training, epoch 1 of 2",
            "left": "",
        }
    ]
    assert actions.run_rows(now, held=True)[0]["doing"] == "paused: a person's batch first"
    scoring = replace(now.runs[0], progress=Progress("score", 20, 1, 2))
    assert actions.doing(scoring, held=False) == "scoring, 50%"


def test_a_run_that_has_just_begun_does_not_cut_the_live_curve_short() -> None:
    def run(name: str, seed: int, n: int) -> RunCurve:
        return RunCurve(name, seed, tuple(range(n)), (0.5,) * n, (0.1,) * n)

    runs = [run("bald", 1, 20), run("bald", 2, 18), run("bald", 3, 2), run("random", 3, 2)]
    kept = [(one.acquisition, one.seed) for one in actions.caught_up(runs)]
    assert kept == [("bald", 1), ("bald", 2), ("random", 3)]


# -- results ---------------------------------------------------------------------------------------


def test_the_tables_show_the_chosen_columns() -> None:
    table = tables(report_runs())[0]
    plain = shown_columns(table, sustained=False, published=False)
    assert list(plain.columns) == ["Runs", "Step-Average", "Average-Step"]
    assert plain.loc["Variation ratios", "Step-Average"] == "**110.0 ± 8.2**"
    beside = shown_columns(table, sustained=True, published=True)
    assert list(beside.columns)[3:] == [
        *("Report: Step-Average", "Report: Average-Step", "Gal et al.")
    ]
    assert beside.loc["Random", "Gal et al."] == "255"
    assert list(plain["Step-Average"]) != list(beside["Step-Average"])


@pytest.mark.slow
def test_the_zip_holds_what_dal_report_writes() -> None:
    with zipfile.ZipFile(io.BytesIO(zipped_report(report_record(), None))) as archive:
        names = set(archive.namelist())
        assert {"index.md", "tables.tex", "figure2.pdf", "figure6.csv", "record.yaml"} <= names
        assert read_record(archive.read("record.yaml")) == report_record()


def test_statistics_give_intervals_from_three_seeds_on() -> None:
    def run(name: str, seed: int) -> RunCurve:
        accuracy = 0.5 + 0.01 * seed + (0.1 if name == "bald" else 0.0)
        return RunCurve(name, seed, (20, 30), (accuracy, accuracy), (0.1, 0.1))

    few = [run(name, seed) for name in ("bald", "random") for seed in (1, 2)]
    many = [*few, run("bald", 3), run("random", 3)]
    shown = at_labels({"few": statistics(few), "many": statistics(many)}, 20)
    few_bald, _, many_bald, many_random = shown.to_dict("records")
    assert few_bald["95% interval"] == "–"
    assert many_bald["Against Random"] == "+10.0 points"
    assert many_bald["95% interval "] == "+9.5 to +10.5"  # one step of whole hundredths
    assert many_random["Against Random"] == "–"


def test_records_side_by_side_keep_functions_that_one_of_them_lacks() -> None:
    runs = report_runs()
    first, second = needed_side_by_side(
        {"all": runs, "some": [run for run in runs if run.acquisition != "bald"]}
    )
    assert first.loc["BALD", "some: Step-Average"] == "–"
    assert first.loc["BALD", "all: Average-Step"] == "130"
    assert list(second.loc["Random"]) == ["480.0 ± 57.2", "610"] * 2


def test_only_parameters_that_all_records_name_count_as_different() -> None:
    params: dict[str, dict[str, object]] = {
        "one": {"weights": "best", "dropout": (0.5, 0.25), "ties": "first", "protocol": "a"},
        "two": {"weights": "last", "dropout": [0.5, 0.25], "protocol": "b"},
    }
    assert differing(params) == [("weights", {"one": "best", "two": "last"})]
    assert unnamed(params) == {"two": ["ties"]}


def test_a_record_without_noise_has_an_oracle_that_is_always_right() -> None:
    params: dict[str, dict[str, object]] = {"published": {"a": 1}, "noisy": {"a": 1, "noise": 0.2}}
    assert differing(params) == [("noise", {"published": 0.0, "noisy": 0.2})]
    assert unnamed(params) == {}
    assert differing({"one": {"noise": 0}, "two": {}}) == []


def test_the_table_at_a_number_of_labels_says_what_it_leaves_out_and_why() -> None:
    def run(name: str, seed: int, *n_labelled: int) -> RunCurve:
        half = (0.5,) * len(n_labelled)
        return RunCurve(name, seed, n_labelled, half, half)

    records = {
        "long": [run("bald", 1, 20, 30, 40), run("random", 1, 20, 30, 40)],
        "short": [run("bald", 1, 20, 30), run("random", 1, 20, 40), run("random", 2, 20, 30, 40)],
    }
    found = {name: statistics(runs) for name, runs in records.items()}
    assert list(at_labels(found, 40).index) == [
        ("long", "BALD"),
        ("long", "Random"),
        ("short", "Random"),
    ]
    assert left_out(records, found, 40) == [
        "Left out: short, BALD, not measured at 40 labels (measured up to 30).",
        "short, Random: the mean has 2 of 3 numbers of labels, those at which all of its 2 runs "
        "were measured.",
    ]
    assert left_out(records, found, 30)[0] == (
        "Left out: short, Random, of which 1 of 2 runs were measured at 30 labels."
    )
    assert left_out({"long": records["long"]}, found, 40) == []


def test_experiments_without_a_measurement_cannot_be_compared(
    store: Store, mnist5k: ImageDataset
) -> None:
    begun = actions.start(store, mnist5k, tiny_plan("bald"))
    done = finished_experiment(store, mnist5k, tiny_plan("random"))
    there = sources(store, {"theirs": report_record()})
    assert list(there) == [done, "theirs (uploaded)"]
    assert unmeasured(store, there) == [begun]  # the page names it, with the reason


# -- the page --------------------------------------------------------------------------------------


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(default_home())
    monkeypatch.setattr(runtime, "workers", lambda: stand_in)
    runtime.store.clear()
    return stand_in


@pytest.fixture
def open_page(workers: StandIn) -> Callable[..., AppTest]:
    def page(**query: str) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=60).run().switch_page("pages/reproduce.py")
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return page


def texts(app: AppTest) -> str:
    """All that stands on the page in words."""
    parts = [*app.markdown, *app.caption, *app.error, *app.info, *app.title, *app.subheader]
    return "\n".join(str(part.value) for part in parts)


def test_the_form_offers_the_posteriors_that_all_chosen_functions_can_read(
    open_page: Callable[..., AppTest],
) -> None:
    app = open_page()
    assert "Deterministic network: not offered" in texts(app)
    app.multiselect(key="functions").set_value(["random", "coreset"]).run()
    app.selectbox(key="posterior").set_value("deterministic").run()
    assert "quick with num_mc_samples=1, posterior=deterministic" in texts(app)
    app.multiselect(key="functions").set_value(["random", "bald"]).run()
    assert not app.exception
    assert app.selectbox(key="posterior").value == "mc_dropout"


def button(app: AppTest, key: str) -> bool:
    return any(one.key == key for one in app.button)


def test_the_page_starts_an_experiment_and_shows_it_to_its_end(
    open_page: Callable[..., AppTest], workers: StandIn
) -> None:
    app = open_page()
    assert not app.exception
    assert "unknown until its first steps" in texts(app)
    app.multiselect(key="functions").set_value(["bald", "random"])
    app.text_input(key="seeds").set_value("1")
    app.text_input(key="title").set_value("tiny")
    app.text_area(key="overrides").set_value(TINY).run()
    app.button(key="start").click().run()
    assert not app.exception
    (row,) = open_store(default_home()).experiments.all()
    assert app.query_params["experiment"] == [row.experiment_id]
    assert len(workers.asked) == 3  # two functions and the bound
    store = open_store(default_home())
    workers.work(store, max_steps=1)

    app = open_page(experiment=row.experiment_id)  # a second tab
    assert "### tiny" in texts(app) and button(app, "pause")
    app.button(key="pause").click().run()
    assert look(store, row.experiment_id).state is State.PAUSED
    app.button(key="resume").click().run()
    app.button(key="stop").click().run()
    assert look(store, row.experiment_id).state is State.STOPPED
    app.button(key="resume").click().run()
    workers.work(store)

    app.run()
    assert not app.exception
    assert not button(app, "pause") and not button(app, "stop")
    assert len(app.table) >= 5
    assert "Table 2: Labels needed to reach 10% test error" in texts(app)
    app.toggle(key="published").set_value(True).run()
    assert not app.exception
    assert "Gal et al." in app.table[0].value.columns


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seeds", "one", "seeds has 'one'"),
        ("overrides", "n_epochs=none", "n_epochs is 'none'; allowed: a whole number"),
        ("functions", [], "no acquisition function is chosen"),
    ],
)
def test_a_wrong_value_is_one_line_and_there_is_nothing_to_click(
    open_page: Callable[..., AppTest], key: str, value: object, message: str
) -> None:
    app = open_page()
    widgets = {"seeds": app.text_input, "overrides": app.text_area, "functions": app.multiselect}
    widgets[key](key=key).set_value(value).run()
    assert [error.value.startswith(message) for error in app.error] == [True]
    assert not button(app, "start")
    assert open_store(default_home()).experiments.all() == []


def test_missing_mnist_is_said_with_what_to_do(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAL_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    runtime.dataset.clear()
    app = open_page()
    app.selectbox(key="protocol").set_value("report").run()
    runtime.dataset.clear()
    assert not app.exception and not button(app, "start")
    assert "dal data fetch mnist" in app.warning[0].value


def test_an_experiment_that_is_not_there_is_said_in_one_line(
    open_page: Callable[..., AppTest],
) -> None:
    app = open_page(experiment="quick-000000")
    assert "There is no experiment “quick-000000” here" in app.error[0].value


def test_a_failed_run_shows_its_message_and_a_person_goes_first_is_said(
    open_page: Callable[..., AppTest], workers: StandIn, store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = actions.start(store, mnist5k, tiny_plan("bald", "random"))
    failing = store.experiments.runs(experiment_id)[0].run_id
    store.add_failure(failing, "OSError: disk full")
    workers.held = True
    app = open_page(experiment=experiment_id)
    assert app.error[0].value == "BALD, seed 1 failed: OSError: disk full"
    assert "a person's next batch is prepared" in app.info[0].value
    app.button(key=f"again-{failing}").click().run()
    assert not app.error and failing in workers.asked


def test_the_list_opens_and_forgets_experiments_also_of_the_command_line(
    open_page: Callable[..., AppTest], store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = actions.start(store, mnist5k, tiny_plan("bald"))
    app = open_page()
    assert button(app, f"open-{experiment_id}")
    app.button(key=f"forget-{experiment_id}").click().run()
    assert not app.exception
    assert not button(app, f"open-{experiment_id}") and store.experiments.all() == []
    assert len(store.runs()) == 1


def test_two_experiments_stand_side_by_side(
    open_page: Callable[..., AppTest], store: Store, mnist5k: ImageDataset
) -> None:
    finished_experiment(store, mnist5k, replace(tiny_plan("random"), title="one"))
    other = actions.make_plan(
        "quick", "mnist5k", ["random"], "1", False, TINY + "\nweights=best", "two"
    )
    finished_experiment(store, mnist5k, other)
    app = open_page()
    app.button_group(key="view").set_value("Compare").run()
    assert not app.exception
    assert "**They differ in** `weights` best / last" in texts(app)
    assert "two: Step-Average" in app.table[0].value.columns
