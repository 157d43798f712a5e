"""Replay: any stored run step by step, one run or two in step, and forking it from any step.

Draws only; what a step shows is `dal_core.history`'s, the words are in `replay_words`. Nothing is
trained for it: a step measured before its mistakes were recorded, or whose weights somebody wants,
is computed again by a worker when asked for. The address says which runs and where:
`?run=&beside=&step=`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from dal_core import history
from dal_core.agenda import agenda
from dal_core.datasets.splits import Split, split_of
from dal_core.figures.history import (
    balance_figure,
    class_accuracy_figure,
    confusion_figure,
    steps_figure,
)
from dal_core.history import Moment
from dal_core.protocol import FULL_DATA
from dal_core.records import Confusion
from dal_core.runfiles import run_curve
from dal_core.stepweights import corrected_at, step_facts, step_weights
from dal_core.store import RunLog, RunNotFound, RunRow, Store
from dal_core.workers import Workers
from dal_ui import replay_words, runtime, shell
from dal_ui.digits import digits_are_here
from dal_ui.forking import can_be_forked, fork_form
from dal_ui.grid import image_data_uri
from dal_ui.noise import noise_section

IMAGE_WIDTH, SCALE = 54, 3  # pixels on the page; drawn larger, so that pixels stay sharp
MOVING_SECONDS = 2.0  # between two looks while a run that is shown goes on
ALONE = "none"  # no second run; an empty value would not stay in the address


def replay_section(store: Store, workers: Workers, run_id: str | None) -> None:
    """Draw the replay of the run (or of one chosen here), and the noisy annotator below it."""
    runs = [run for run in store.runs() if run.spec.acquisition != FULL_DATA]
    if not runs:
        st.info("No run is stored here yet: label some digits, or create the demo of the tour.")
    else:
        left, right = st.columns(2, gap="medium")
        with left:
            first = _choose_first(runs, run_id)
        with right:
            second = _choose_second(runs, first)
        if digits_are_here(first.spec.protocol.dataset, first.spec.fingerprint):
            _player(store, workers, first, second)
    st.divider()
    noise_section(store, workers)


# -- which runs --------------------------------------------------------------------------------


def _choose_first(runs: Sequence[RunRow], run_id: str | None) -> RunRow:
    by_id = {run.run_id: run for run in runs}
    chosen = _selectbox("Run", by_id, run_id or "", "run", key="replay-run")
    return by_id[chosen]


def _choose_second(runs: Sequence[RunRow], first: RunRow) -> RunRow | None:
    others = {run.run_id: run for run in runs if _comparable(run, first)}
    named = st.query_params.get("beside")
    default = named if named in (*others, ALONE) else _partner(first, list(others.values()))
    chosen = _selectbox(
        "Beside it, in step",
        {ALONE: None, **others},
        default or ALONE,
        "beside",
        key=f"replay-beside-{first.run_id}",
    )
    return others.get(chosen)


def _selectbox(
    title: str, runs: Mapping[str, RunRow | None], default: str, parameter: str, key: str
) -> str:
    """A choice of runs that the address names; it follows the address, and the address it."""
    ids = list(runs)
    is_new = st.session_state.get(f"{key}-address") != default
    # Streamlit forgets the choice while another tab is open; the address does not.
    if default in ids and (is_new or key not in st.session_state):
        st.session_state[key] = st.session_state[f"{key}-address"] = default
    elif st.session_state.get(key) not in ids:
        st.session_state[key] = ids[0]

    def name(run_id: str) -> str:
        run = runs[run_id]
        return replay_words.run_title(run) if run is not None else "nothing"

    def changed() -> None:
        st.query_params[parameter] = st.session_state[f"{key}-address"] = st.session_state[key]
        st.query_params.pop("step", None)

    return str(st.selectbox(title, ids, format_func=name, key=key, on_change=changed))


def _comparable(run: RunRow, first: RunRow) -> bool:
    """Same digits; another seed or protocol may be looked at beside it, and is named so."""
    return run.run_id != first.run_id and run.spec.fingerprint == first.spec.fingerprint


def _partner(first: RunRow, others: Sequence[RunRow]) -> str | None:
    """The run to look at beside it: its origin, else random with everything else the same."""
    for run in others:
        if run.run_id == first.forked_from:
            return run.run_id
    for run in others:
        same = (run.spec.protocol, run.spec.seed) == (first.spec.protocol, first.spec.seed)
        wanted = "random" if first.spec.acquisition != "random" else "bald"
        if same and run.spec.acquisition == wanted and run.spec.noise == first.spec.noise:
            return run.run_id
    return None


# -- step by step ------------------------------------------------------------------------------


def _player(store: Store, workers: Workers, first: RunRow, second: RunRow | None) -> None:
    """The slider and what it shows, in a fragment: the rest of the page is not drawn again."""
    shown = [run.run_id for run in (first, second) if run is not None]
    moving = any(_moves(store, workers, run_id) for run_id in shown)

    @st.fragment(run_every=MOVING_SECONDS if moving else None)
    def play() -> None:
        try:
            logs = [store.log(run_id) for run_id in shown]
        except RunNotFound:  # deleted in another tab a moment ago
            st.rerun(scope="app")
        histories = [history.moments(log) for log in logs]
        n_labelled = _slider(histories, first.run_id)
        _curves(logs, n_labelled)
        for column, log, moments in zip(
            st.columns(len(logs), gap="medium"), logs, histories, strict=True
        ):
            with column:
                _Step(store, workers, log, moments, n_labelled).draw(wide=len(logs) == 1)
        if moving != any(_moves(store, workers, run_id) for run_id in shown):
            st.rerun(scope="app")

    play()


def _moves(store: Store, workers: Workers, run_id: str) -> bool:
    """Whether a worker is at the run, or should be; it is asked then."""
    try:
        has_work = agenda(store.log(run_id)).has_work
    except RunNotFound:
        return False
    progress = store.progress(run_id)
    if has_work and not (progress is not None and progress.part == "failed"):
        workers.ask(run_id, person_waits=False)
    return workers.is_active(run_id)


def _slider(histories: Sequence[Sequence[Moment]], run_id: str) -> int:
    """The number of labels to look at."""
    options = sorted({moment.n_labelled for moments in histories for moment in moments})
    key = f"replay-step-{run_id}"
    named = st.query_params.get("step", "")
    is_new = st.session_state.get("replay-step-address") != named
    if named.isdigit() and (is_new or key not in st.session_state):
        st.session_state["replay-step-address"] = named
        st.session_state[key] = max((n for n in options if n <= int(named)), default=options[0])
    if st.session_state.get(key) not in options:
        st.session_state[key] = options[0]
    if len(options) == 1:
        st.caption(f"There is one step so far, at {options[0]} labels.")
        return options[0]

    def moved() -> None:
        st.query_params["step"] = str(st.session_state[key])
        st.session_state["replay-step-address"] = st.query_params["step"]

    return int(
        st.select_slider(
            "Labels in the training set",
            options,
            key=key,
            on_change=moved,
            help="Every step of the run. The arrow keys go step by step.",
        )
    )


def _curves(logs: Sequence[RunLog], n_labelled: int) -> None:
    runs = [log.run for log in logs]
    names = [replay_words.curve_name(run, other) for run, other in _each_with_other(runs)]
    curves = {name: run_curve(log) for name, log in zip(names, logs, strict=True) if len(log.steps)}
    if curves:
        _chart(steps_figure, curves, n_labelled, key="replay-curves", height=190)


def _each_with_other(runs: Sequence[RunRow]) -> list[tuple[RunRow, RunRow | None]]:
    if len(runs) == 1:
        return [(runs[0], None)]
    return [(runs[0], runs[1]), (runs[1], runs[0])]


class _Step:
    """One step of one run on the page."""

    def __init__(
        self,
        store: Store,
        workers: Workers,
        log: RunLog,
        moments: Sequence[Moment],
        n_labelled: int,
    ) -> None:
        self.store, self.workers, self.log = store, workers, log
        self.run_id = log.run.run_id
        self.dataset = runtime.dataset(log.run.spec.protocol.dataset)
        self.moment = history.at_labels(moments, n_labelled)
        number = self.moment.number
        self.before = moments[number - 1] if number else None
        self.confusion = self._confusion(self.moment)
        self.confusion_before = self._confusion(self.before) if self.before else None

    def draw(self, wide: bool) -> None:
        st.markdown(f"#### {replay_words.curve_name(self.log.run)}")
        st.markdown(replay_words.headline(self.moment, self.before))
        if not wide:
            self._images()
            self._changes()
            self._mistakes()
            self._balance()
            self._actions()
            return
        left, right = st.columns(2, gap="medium")
        with left:
            self._images()
            self._changes()
            self._balance()
            self._actions()
        with right:
            self._mistakes()

    def _images(self) -> None:
        images = history.asked_images(self.moment, self.dataset)
        st.caption(replay_words.legend(images))
        if images:
            st.image(
                [_uri(self.dataset.name, image.image_id) for image in images],
                caption=[replay_words.caption(image) for image in images],
                width=IMAGE_WIDTH,
            )

    def _changes(self) -> None:
        lines = replay_words.changes(
            self.moment, self.before, self.confusion, self.confusion_before
        )
        wrong = history.n_wrong(self.log, self.moment, self.dataset)
        if wrong:
            lines.append(f"{wrong} of its labels are not the data set's.")
        st.markdown("\n".join(f"- {line}" for line in lines))

    def _mistakes(self) -> None:
        if self.confusion is None:
            self._offer()
            return
        key = f"replay-{self.run_id}"
        st.caption("Test images by label (rows) and predicted class: mistakes are coloured.")
        _chart(confusion_figure, self.confusion, key=f"{key}-confusion")
        has_before = self.confusion_before is not None
        mark = " The mark: one step before." if has_before else ""
        st.caption(f"How many of each class it gets right.{mark}")
        _chart(class_accuracy_figure, self.confusion, self.confusion_before, key=f"{key}-classes")

    def _balance(self) -> None:
        spec = self.log.run.spec
        split = _split(spec.fingerprint, spec.protocol.model_dump_json(), spec.seed, self.log)
        labelled, pool = history.class_counts(self.log, self.moment, self.dataset, split)
        st.caption("Classes of the labelled images beside those left in the pool.")
        _chart(balance_figure, _ints(labelled), _ints(pool), key=f"replay-{self.run_id}-balance")

    def _actions(self) -> None:
        made = None
        n_forked = st.session_state.get("replay-forked", 0)  # another key: it closes after a fork
        with st.container(horizontal=True, vertical_alignment="center"):
            if can_be_forked(self.log):
                key = f"replay-fork-{self.run_id}-{n_forked}"
                with st.popover("Fork from here", icon=":material/fork_right:", key=key):
                    made = fork_form(self.store, self.workers, self.log, self.moment)
            if self.confusion is not None:
                self._network()
        if made is None:
            return
        st.session_state["replay-forked"] = n_forked + 1
        if made.kind == "person":
            shell.go_to(made.run_id)
        st.query_params["beside"] = made.run_id
        st.rerun(scope="app")

    def _network(self) -> None:
        """The step's network: only the newest is kept, any other can be computed again."""
        after = self.moment.after
        corrected = corrected_at(self.log, after)
        if step_weights(self.store.home, self.run_id, after, corrected) is not None:
            st.caption("Its network is kept: the other tabs can look at it.")
        elif self.workers.weights_active(self.run_id, after):
            self._computing()
        elif st.button("Compute its network again", **self._again()):
            self.workers.ask_weights(self.run_id, after)
            st.rerun(scope="app")

    def _again(self) -> dict[str, Any]:
        """What the two buttons that ask for it share; one of them is shown at a time."""
        return {
            "icon": ":material/refresh:",
            "key": f"again-{self.run_id}-{self.moment.after}",
            "help": "Trains this one network again, to the same weights, in the background.",
        }

    def _computing(self) -> None:
        progress = self.store.progress(self.run_id)
        done = (progress.epoch or 0) if progress else 0
        total = (progress.n_epochs if progress else None) or 1
        st.progress(min(1.0, done / total), "Computing this step again ...")

    # -- what is not in the log ----------------------------------------------------------------

    def _confusion(self, moment: Moment) -> Confusion | None:
        """As measured, else as computed again since."""
        if moment.step is not None and moment.step.confusion is not None:
            return moment.step.confusion
        corrected = corrected_at(self.log, moment.after)
        facts = step_facts(self.store.home, self.run_id, moment.after, corrected)
        return None if facts is None else tuple(tuple(row) for row in facts["confusion"])

    def _offer(self) -> None:
        """This step's mistakes are not recorded; a worker can compute that one step again."""
        after = self.moment.after
        if self.workers.weights_active(self.run_id, after):
            self._computing()
            return
        st.info("Which images it gets wrong was not recorded at this step.")
        if st.button("Compute this step again", **self._again()):
            self.workers.ask_weights(self.run_id, after)
            st.rerun(scope="app")


# -- drawing -----------------------------------------------------------------------------------


def _chart(figure: Callable[..., Any], *data: Any, key: str, **options: Any) -> None:
    """Draw a figure; its specification is made once per change of its numbers."""
    st.vega_lite_chart(_spec(figure.__name__, figure, data, options), width="stretch", key=key)


@st.cache_data(show_spinner=False, max_entries=256)
def _spec(
    name: str, _figure: Callable[..., Any], data: tuple[Any, ...], options: dict[str, Any]
) -> dict[str, Any]:
    spec: dict[str, Any] = _figure(*data, **options).to_dict()
    return spec


@st.cache_data(show_spinner=False, max_entries=2048)
def _uri(name: str, image_id: int) -> str:
    return image_data_uri(runtime.dataset(name).images[image_id], SCALE)


@st.cache_data(show_spinner=False, max_entries=16)
def _split(fingerprint: str, protocol: str, seed: int, _log: RunLog) -> Split:
    spec = _log.run.spec
    return split_of(spec, runtime.dataset(spec.protocol.dataset))


def _ints(counts: np.ndarray) -> tuple[int, ...]:
    return tuple(int(count) for count in counts)
