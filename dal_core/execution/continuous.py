"""Continuous mode: stores the rankings from which submissions open the next queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dal_core.acquisition import registry
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import RANKING_KEPT, Query
from dal_core.run.state import RunState
from dal_core.store.base import Store

BATCHES_CHOSEN = 3  # of a function that must choose each batch anew

Ask = Callable[[int, frozenset[int]], tuple[Query, np.ndarray | None]]


def store_ranking(store: Store, state: RunState, ask: Ask) -> None:
    """Store a model's ranking of images that go on after all that a person was asked so far.

    If they were asked others meanwhile, which an older model had chosen, the model chooses again.

    Args:
        state: the labels that the model was trained on.
        ask: the choice of the model: (number of images that will be asked, images asked since the
            labels) -> query and passes.
    """
    run_id = state.run.run_id
    n = n_usable(state.run.spec)
    asked = store.log(run_id).asked_since(state.after)
    while True:
        query, probs = ask(n, asked)
        query = replace(query, ranking=query.ranking[:n], scores=query.scores[:n])
        if not store.add_ranking(run_id, query, probs):
            return
        now = store.log(run_id).asked_since(state.after)
        if now <= asked.union(query.ranking):
            return
        asked = now


def n_usable(spec: RunSpec) -> int:
    """How many images of a ranking are stored: those that the model can ask for one by one.

    A function whose order lacks the prefix property chooses a few batches ahead, which serve until
    the next model is there.
    """
    function = registry.find(spec.acquisition)
    if function is None or function.prefix:
        return RANKING_KEPT
    return min(RANKING_KEPT, BATCHES_CHOSEN * spec.protocol.n_samples_to_acquire)
