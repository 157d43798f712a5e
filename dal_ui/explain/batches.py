"""The batch of every function for the page's model, cached like the model itself.

The functions share one `Pool`, whose passes and places are computed for the first of them. A batch
takes a few hundredths of a second for most functions, and seconds for a few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from dal_core.explain import redundancy
from dal_core.explain.batches import Asked, Pool, asked_by, in_groups, may_ask
from dal_core.explain.information import Information, information_of
from dal_core.explain.redundancy import Redundancy, covering_of, redundancy_of
from dal_core.explain.step import ModelStep
from dal_core.explain.uncovered import Uncovered, uncovered
from dal_core.results.titles import display_name
from dal_ui.explain import model
from dal_ui.explain.model import Key, Step

_RANDOM_BATCHES = 400  # for what to expect by chance


@dataclass(frozen=True)
class Judged:
    """A function's batch and what docs/method.md, section 3.5, measures of it."""

    asked: Asked
    alike: Redundancy
    information: Information
    covered: float


def all_batches(step: Step) -> tuple[dict[str, Asked], dict[str, str]]:
    """Each function's batch, and why the others have none: one line for each.

    The first time, a bar shows which function is choosing.
    """
    found: dict[str, Asked] = {}
    problems: dict[str, str] = {}
    names = [name for group in in_groups().values() for name in group]
    for name in _shown(names, "{} is choosing ..."):
        asked = batch(step, name)
        if isinstance(asked, Asked):
            found[name] = asked
        else:
            problems[name] = asked
    return found, problems


def all_judged(step: Step, asked: Mapping[str, Asked]) -> dict[str, Judged]:
    """The numbers of each batch; the first time, a bar shows which is measured."""
    return {
        name: _judged(step.key, step.model, asked[name])
        for name in _shown(list(asked), "Measuring the batch of {} ...")
    }


def _shown(names: Sequence[str], text: str) -> Iterator[str]:
    """The names one by one, each on a bar while the caller works with it."""
    bar = st.empty()
    for number, name in enumerate(names):
        bar.progress(number / len(names), text.format(display_name(name)))
        yield name
    bar.empty()


def batch(step: Step, name: str) -> Asked | str:
    """The batch of one function, or why it has none, in one line."""
    return _batch(step.key, step.model, name, step.batch_size)


def judged(step: Step, name: str) -> Judged | None:
    """One function's batch with its numbers; None if it has none."""
    asked = batch(step, name)
    return _judged(step.key, step.model, asked) if isinstance(asked, Asked) else None


def alike_by_chance(step: Step) -> np.ndarray:
    """The similarity of random batches of the pool."""
    return _by_chance(step.key, step.model, step.batch_size)


def left_uncovered(step: Step, image_ids: tuple[int, ...]) -> Uncovered:
    """The weight that a batch leaves uncovered."""
    return _uncovered(step.key, step.model, image_ids)


def usual_coverage(step: Step) -> str:
    """The coverage function to show: the run's own, else the first that its posterior allows."""
    own = step.log.run.spec.acquisition
    if own == "entropy_coverage" or not may_ask(step.model, "bald_coverage"):
        return "entropy_coverage"
    return "bald_coverage"


@st.cache_resource(show_spinner="Reading the pool ...", max_entries=1)
def _pool(key: Key, _model: ModelStep) -> Pool:
    """Its passes take up to 151 MB, so only one is kept."""
    model.one_thread()
    return Pool(_model)


@st.cache_data(show_spinner=False, max_entries=240)
def _batch(key: Key, _model: ModelStep, name: str, size: int) -> Asked | str:
    model.one_thread()
    try:
        return asked_by(_pool(key, _model), name, size)
    except ValueError as error:
        return str(error)


@st.cache_data(show_spinner=False, max_entries=240)
def _judged(key: Key, _model: ModelStep, asked: Asked) -> Judged:
    model.one_thread()
    pool = _pool(key, _model)
    covering = covering_of(pool)
    return Judged(
        asked,
        redundancy_of(pool, covering, asked.image_ids),
        information_of(pool, asked.image_ids),
        uncovered(pool, asked.image_ids, covering).covered,
    )


@st.cache_data(show_spinner=False, max_entries=12)
def _by_chance(key: Key, _model: ModelStep, size: int) -> np.ndarray:
    pool = _pool(key, _model)
    points, scale = pool.pixels.candidates, covering_of(pool).scale
    generator = np.random.default_rng(_model.seed)
    return redundancy.random_similarity(points, size, scale, _RANDOM_BATCHES, generator)


@st.cache_data(show_spinner=False, max_entries=48)
def _uncovered(key: Key, _model: ModelStep, image_ids: tuple[int, ...]) -> Uncovered:
    model.one_thread()
    return uncovered(_pool(key, _model), image_ids)
