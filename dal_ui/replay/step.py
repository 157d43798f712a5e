"""One step of one run in the replay: its images, mistakes and class balance, and its actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import streamlit as st

from dal_core.execution.pool import Workers
from dal_core.execution.recompute import corrected_at, step_facts, step_weights
from dal_core.figures.classes import Classes
from dal_core.figures.history import balance_figure, class_accuracy_figure, confusion_figure
from dal_core.figures.png import image_data_uri
from dal_core.results import run_history
from dal_core.results.run_history import Moment
from dal_core.run.events import Confusion
from dal_core.run.splits import Split, split_of
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_ui.replay import words
from dal_ui.replay.recompute_button import recompute_button
from dal_ui.runs.forking import can_be_forked, fork_form
from dal_ui.shared import runtime, shell
from dal_ui.shared.markdown import plain

IMAGE_WIDTH, SCALE = 54, 3  # pixels on the page; drawn larger, so that pixels stay sharp


class StepView:
    """One step of one run on the page."""

    def __init__(
        self,
        store: Store,
        workers: Workers,
        log: RunState,
        moments: Sequence[Moment],
        n_labelled: int,
    ) -> None:
        self.store, self.workers, self.log = store, workers, log
        self.run_id = log.run.run_id
        self.dataset = runtime.dataset(log.run.spec.protocol.dataset)
        self.moment = run_history.at_labels(moments, n_labelled)
        number = self.moment.number
        self.before = moments[number - 1] if number else None
        self.confusion = self._confusion(self.moment)
        self.confusion_before = self._confusion(self.before) if self.before else None

    def draw(self, wide: bool) -> None:
        st.markdown(f"#### {words.curve_name(self.log.run)}")
        st.markdown(words.headline(self.moment, self.before))
        if elsewhere := run_history.resumed_elsewhere(self.log):
            st.caption(plain(f"Resumed {elsewhere}."))
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
        images = run_history.asked_images(self.moment, self.dataset)
        st.caption(words.legend(images))
        if images:
            st.image(
                [_uri(self.dataset.name, image.image_id) for image in images],
                caption=[words.caption(image, self.dataset) for image in images],
                width=IMAGE_WIDTH,
            )

    def _changes(self) -> None:
        lines = words.changes(
            *(self.moment, self.before, self.confusion, self.confusion_before),
            self.dataset.class_names,
        )
        wrong = run_history.n_wrong(self.log, self.moment, self.dataset)
        if wrong:
            lines.append(f"{wrong} labels in the training set differ from the data set's.")
        st.markdown("\n".join(f"- {line}" for line in lines))

    def _mistakes(self) -> None:
        if not self.log.run.has_test_set:
            st.caption("This data set has no test images.")
            return
        if self.confusion is None:
            self._offer()
            return
        key, classes = f"replay-{self.run_id}", Classes.of(self.dataset)
        st.caption("Test images by label (rows) and prediction (columns); mistakes are coloured.")
        chart(confusion_figure, self.confusion, classes, key=f"{key}-confusion")
        has_before = self.confusion_before is not None
        mark = " The mark shows the previous step." if has_before else ""
        st.caption(f"Accuracy by class.{mark}")
        both = self.confusion, classes, self.confusion_before
        chart(class_accuracy_figure, *both, key=f"{key}-classes")

    def _balance(self) -> None:
        spec = self.log.run.spec
        split = _split(spec.fingerprint, spec.protocol.model_dump_json(), spec.seed, self.log)
        labelled, pool = run_history.class_counts(self.log, self.moment, self.dataset, split)
        st.caption("Classes of the labelled images and of those left in the pool.")
        counts = _ints(labelled), _ints(pool), Classes.of(self.dataset)
        chart(balance_figure, *counts, key=f"replay-{self.run_id}-balance")

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
        """The step's network: the newest is stored, any other can be recomputed."""
        after = self.moment.after
        corrected = corrected_at(self.log, after)
        if step_weights(self.store.home, self.run_id, after, corrected) is not None:
            st.caption("Its network is stored: the other tabs can show it.")
        else:
            self._recompute("Recompute its network")

    def _recompute(self, label: str) -> None:
        """The button that recomputes the step, or its progress."""
        recompute_button(self.store, self.workers, self.run_id, self.moment.after, label)

    # -- what is not in the log ----------------------------------------------------------------

    def _confusion(self, moment: Moment) -> Confusion | None:
        """The confusion counts as measured, else as recomputed since."""
        if moment.step is not None and moment.step.confusion is not None:
            return moment.step.confusion
        corrected = corrected_at(self.log, moment.after)
        facts = step_facts(self.store.home, self.run_id, moment.after, corrected)
        return None if facts is None else tuple(tuple(row) for row in facts["confusion"])

    def _offer(self) -> None:
        """Offer to recompute a step whose mistakes were not recorded."""
        st.info("The mistakes of this step were not recorded.")
        self._recompute("Recompute this step")


# -- drawing -----------------------------------------------------------------------------------


def chart(figure: Callable[..., Any], *data: Any, key: str, **options: Any) -> None:
    """Draw a figure; its specification is cached by its numbers."""
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
def _split(fingerprint: str, protocol: str, seed: int, _log: RunState) -> Split:
    spec = _log.run.spec
    return split_of(spec, runtime.dataset(spec.protocol.dataset))


def _ints(counts: np.ndarray) -> tuple[int, ...]:
    return tuple(int(count) for count in counts)
