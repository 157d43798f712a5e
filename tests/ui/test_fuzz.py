"""Whatever an address or a form says, a page is drawn or says in one clear line what is wrong.

The inputs are the same in every run: Hypothesis draws them from the test's name. The long form
tries more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.experiments import control
from dal_core.limits.text import visible
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_ui.label import actions
from dal_ui.shared import person, runtime
from dal_ui.tour.card import VIEW_KEY
from dal_ui.tour.stops import FUNCTIONS, IMAGE, MAP, REPLAY
from tests import fast
from tests.fuzz.edits import nasty
from tests.ui_kit import InlineWorkers, asked_run, open_query, right_labels, submission

APP = str(Path(__file__).resolve().parents[2] / "app.py")
N_SHORT, N_LONG = 8, 150  # inputs: of all pages or forms together; of each
MOST_CHARACTERS = 600  # of a message
PARAMETERS = ("run", "experiment", "plain", "tour", "beside", "step")
MARKUP = (
    *("**bold** [link](https://example.org)", "![image](https://example.org/x.png)", "# heading"),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "$\\frac{1}{0}$", ":red[text]"),
    *("`code`", "| a | b |\n|---|---|", "&lt;b&gt;", "http://example.org", "{}", "{0.__class__}"),
    *("'; DROP TABLE runs; --", "../../etc/passwd", "a\nb", "x" * 5_000, "☃" * 300, "\u202eabc"),
)
NUMBERS = ("0", "1", "1.0", "-1", "20", "30", "999999999999999", "1e3", "٣", "NaN", "2" * 40)


class Home:
    """The store of the pages: two runs of a person, one answered once, and an experiment."""

    def __init__(self, store: Store, dataset: ImageDataset) -> None:
        self.store = store
        self.run_id, workers = asked_run(store, dataset)
        query = open_query(store.log(self.run_id))
        labels = submission(query, right_labels(query, dataset))
        actions.take(store, self.run_id, labels, "Ann")
        workers.work(self.run_id)
        self.other = asked_run(store, dataset, n_epochs=1)[0]
        row = control.create_experiment(
            store, dataset, fast.protocol(), ["bald", "random"], [1], full_data=False, title="pair"
        )
        control.pause(store, row.experiment_id)
        self.experiment = row.experiment_id


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mnist5k: ImageDataset) -> Home:
    return Home(open_store(tmp_path_factory.mktemp("home")), mnist5k)


@pytest.fixture(autouse=True)
def shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages show this home; what they ask workers for is not done."""
    inline = InlineWorkers(home.store)
    monkeypatch.setattr(runtime, "store", lambda: home.store)
    monkeypatch.setattr(runtime, "workers", lambda: inline)


def opened(page: str, address: dict[str, Any], **state: Any) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state[person.NAME] = "Ann"
    for name, value in state.items():
        app.session_state[name] = value
    app.switch_page(f"pages/{page}.py")
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def check(app: AppTest) -> None:
    assert not app.exception, [one.value for one in app.exception]
    for message in [*app.error, *app.warning]:
        text = str(message.value)
        assert visible(text) == text, f"not one line: {text!r}"
        assert len(text) <= MOST_CHARACTERS, text
    for kind in (app.error, app.warning, app.info, app.markdown, app.caption):
        assert not any("Traceback" in str(one.value) for one in kind)


def every(n_inputs: int, inputs: st.SearchStrategy[Any], enter: Callable[[Any], None]) -> None:
    """Give so many inputs to `enter`."""

    @settings(
        max_examples=n_inputs,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def every_input(one: Any) -> None:
        enter(one)

    every_input()


def texts(home: Home) -> st.SearchStrategy[str]:
    """Texts that have been trouble, ids that exist, numbers; only what UTF-8 can carry."""
    known = st.sampled_from((home.run_id, home.other, home.experiment, "none", *NUMBERS))
    text = nasty | known | st.sampled_from(MARKUP) | st.text(max_size=30)
    return text.filter(lambda one: not any("\ud800" <= char <= "\udfff" for char in one))


# Addresses ----------------------------------------------------------------------------------------

PAGES = ("label", "explain", "replay", "reproduce", "runs")


def try_addresses(home: Home, pages: Sequence[str], n_inputs: int) -> None:
    text = texts(home)
    values = st.one_of(text, st.just(home.run_id), st.lists(text, min_size=2, max_size=3))
    name = st.sampled_from(PARAMETERS) | text.filter(bool)
    address = st.dictionaries(name, values, min_size=1, max_size=4)

    def visit(given: tuple[str, dict[str, Any]]) -> None:
        page, address = given
        view = {VIEW_KEY: REPLAY} if page == "replay" else {}
        check(opened("explain" if page == "replay" else page, address, **view))

    every(n_inputs, st.tuples(st.sampled_from(pages), address), visit)


def test_an_address_is_a_page_or_one_line(home: Home) -> None:
    try_addresses(home, PAGES, N_SHORT)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", PAGES)
def test_very_many_addresses_are_a_page_or_one_line(home: Home, page: str) -> None:
    try_addresses(home, [page], N_LONG)


# Forms --------------------------------------------------------------------------------------------

# Page, the parameter of its address, and what the session holds; True: the review of the run.
FORMS: dict[str, tuple[str, str | None, list[tuple[str, Any]]]] = {
    "start": ("label", None, []),
    "name": ("label", "run", [(person.NAME, "")]),
    "label": ("label", "run", []),
    "review": ("label", "run", [("reviewing", True)]),
    "runs": ("runs", "run", []),
    "reproduce": ("reproduce", None, []),
    "experiment": ("reproduce", "experiment", []),
    "image": ("explain", "run", [(VIEW_KEY, IMAGE)]),
    "functions": ("explain", "run", [(VIEW_KEY, FUNCTIONS)]),
    "map": ("explain", "run", [(VIEW_KEY, MAP)]),
    "replay": ("explain", "run", [(VIEW_KEY, REPLAY)]),
}
LEAVES = ("Yes, delete", "Forget", "Yes, forget")  # buttons after which later inputs find nothing


def try_forms(home: Home, forms: Sequence[str], n_inputs: int) -> None:
    def fill(drawn: st.DataObject) -> None:
        page, parameter, state = FORMS[drawn.draw(st.sampled_from(forms))]
        named = {"run": home.run_id, "experiment": home.experiment, None: ""}[parameter]
        marks = {key: (home.run_id, True) if value is True else value for key, value in state}
        app = opened(page, {parameter: named} if parameter else {}, **marks)
        check(app)
        for field in [*app.text_input, *app.text_area]:
            field.set_value(drawn.draw(texts(home)))
        for number in app.number_input:
            least, most = int(number.min or 0), int(number.max or 100)
            number.set_value(drawn.draw(st.integers(least, most)))
        check(app.run())
        buttons = [one for one in app.button if not one.disabled]
        buttons = [one for one in buttons if not one.label.startswith(LEAVES)]
        if buttons:
            buttons[drawn.draw(st.integers(0, len(buttons) - 1))].click()
            check(app.run())

    every(n_inputs, st.data(), fill)


def test_what_is_typed_into_a_form_is_taken_or_refused_in_one_line(home: Home) -> None:
    try_forms(home, list(FORMS), N_SHORT)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("form", FORMS)
def test_very_much_that_is_typed_is_taken_or_refused_in_one_line(home: Home, form: str) -> None:
    try_forms(home, [form], N_LONG)
