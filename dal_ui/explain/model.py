"""The model behind the Explain page and its cached results: scores, passes, map.

A step of a run never changes, so everything is cached by (run, last submission, last correction).
Nothing is trained here; the page's own process runs forward passes of one or a few thousand images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
import torch

from dal_core.data.base import ImageDataset
from dal_core.explain import pool_map
from dal_core.explain.passes import new_passes, scored_passes
from dal_core.explain.pool import PoolScores, score_pool
from dal_core.explain.step import ModelStep, newest_model, stored_models, stored_step
from dal_core.figures.classes import Classes
from dal_core.figures.png import thumbnail
from dal_core.run.state import RunState
from dal_core.training.memory import keep_no_primitives
from dal_ui.shared import runtime

MAX_PASSES = 64
Key = tuple[str, int, int]


@dataclass(frozen=True)
class Step:
    """A stored model of a run, with the run's state; `key` identifies it in caches."""

    log: RunState
    model: ModelStep
    dataset: ImageDataset

    @property
    def key(self) -> Key:
        """The run, and the last submission and correction in the model's training set."""
        return self.log.run.run_id, self.model.labelled.after, self.model.labelled.corrected

    @property
    def most_passes(self) -> int:
        """T that the page can show: the networks of an ensemble, else as many as it computes."""
        return min(self.model.model.n_networks or MAX_PASSES, MAX_PASSES)

    @property
    def run_passes(self) -> int:
        """T of the run's own scores, at most the page's maximum."""
        return min(self.model.protocol.num_mc_samples, self.most_passes)

    @property
    def batch_size(self) -> int:
        """Images a query asks for."""
        return self.model.protocol.n_samples_to_acquire

    def query_images(self) -> tuple[int, ...]:
        """The images of the run's last query with this model; empty where there is none.

        In continuous mode a model also asks after answers it has not learned from, and the query
        just after its own last answers was ranked by an older model, as after a correction.
        """
        model = self.model.n_labelled, self.model.labelled.corrected
        asked = [
            query
            for query in self.log.queries.values()
            if query.after >= self.model.labelled.after
            and (query.asked_by, query.corrected) == model
        ]
        return asked[-1].shown() if asked else ()

    def images_wanted(self, pool: PoolScores) -> tuple[int, ...]:
        """The images the run asks for with this model, or would ask for if it were not finished."""
        own = self.log.run.spec.acquisition
        name = own if own in pool.scores else "bald"
        return self.query_images() or tuple(pool.ranking(name, self.batch_size).tolist())


def open_step(
    log: RunState, dataset: ImageDataset, state: tuple[int, int] | None = None
) -> Step | None:
    """Open a stored model of the run; None where it is not stored.

    Args:
        state: last submission and correction of the model wanted; None for the newest.
    """
    state = state or newest(log.run.run_id)
    if state is None or not log.is_state(state[0]):
        return None
    model = _model((log.run.run_id, *state), log, dataset)
    if model is None:
        _model.clear()  # a model that could not be read now may be complete the next time
        return None
    return Step(log, model, dataset)


def newest(run_id: str) -> tuple[int, int] | None:
    """Last submission and correction of the run's newest stored model; None without one."""
    return newest_model(runtime.store().home, run_id)


def stored(log: RunState) -> list[tuple[int, int]]:
    """Last submission and correction of each stored model of the run, by ascending labels."""
    return stored_models(runtime.store().home, log)


def pool_scores(step: Step) -> PoolScores:
    """Every pool image's scores, computed once for each step."""
    return _pool_scores(step.key, step.model)


def passes(
    step: Step, image_id: int, dropout: tuple[float, float] | None
) -> tuple[torch.Tensor, bool]:
    """As many passes of an image as the page can show, [T, C], and whether they begin with the
    run's own.

    Args:
        dropout: rates other than the run's, or None.
    """
    found = _scored_passes(step.key, step.model, image_id) if dropout is None else None
    if found is not None:
        return torch.from_numpy(found[: step.most_passes]), True
    return passes_of(step, step.dataset.images[image_id], dropout), False


def passes_of(step: Step, image: np.ndarray, dropout: tuple[float, float] | None) -> torch.Tensor:
    """The same passes for any image of the data set's shape, uint8 -> [T, C]."""
    one_thread()
    return new_passes(step.model, image, step.most_passes, dropout)


def mapped(step: Step) -> tuple[pd.DataFrame, np.ndarray]:
    """The points of the map with their pictures, and the share of variance of its two axes."""
    return _mapped(step.key, step.model)


def one_thread() -> None:
    """Use one thread, as the run did: results differ in bits between one and two."""
    keep_no_primitives()  # each model's pool has another size
    torch.set_num_threads(1)


@st.cache_resource(show_spinner=False, max_entries=6)
def _model(key: Key, _log: RunState, _dataset: ImageDataset) -> ModelStep | None:
    """Shared by all sessions and never modified."""
    one_thread()
    return stored_step(runtime.store().home, _log, _dataset, *key[1:])


@st.cache_data(show_spinner="Scoring the pool ...", max_entries=12)
def _pool_scores(key: Key, _model: ModelStep) -> PoolScores:
    one_thread()
    return score_pool(_model)


@st.cache_data(show_spinner=False, max_entries=256)
def _scored_passes(key: Key, _model: ModelStep, image_id: int) -> np.ndarray | None:
    one_thread()
    found = scored_passes(_model, image_id, MAX_PASSES)
    return None if found is None else found.numpy()


@st.cache_data(show_spinner="Drawing the map ...", max_entries=6)
def _mapped(key: Key, _model: ModelStep) -> tuple[pd.DataFrame, np.ndarray]:
    one_thread()
    points, projection = pool_map.map_of(_model)
    images, labels = _model.dataset.images, _model.dataset.labels
    points["class"] = Classes.of(_model.dataset).named(labels[points.image_id])
    points["image"] = [thumbnail(images[i]) for i in points.image_id]
    return points, projection.explained
