"""What all sessions of the server share: the store, the workers, the data sets.

Nothing here belongs to one user. Everything is on disk and the run's id is in the address, so a
reload, a second tab or a restarted server finds it again.
"""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from dal_core.data import catalogue
from dal_core.data.base import ImageDataset
from dal_core.execution.pool import Workers
from dal_core.run.next_task import next_task
from dal_core.store.home import default_home
from dal_core.store.store import Store

# At least two besides the interactive worker, so that a run handed to the oracle and a random
# baseline advance together. Both pause while a person waits.
BACKGROUND_WORKERS = max(2, (os.cpu_count() or 2) - 1)


def device() -> str:
    """Where the workers compute: the option of `dal app --device`."""
    return os.environ.get("DAL_DEVICE", "cpu")


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The runs of `$DAL_HOME`."""
    return Store(default_home())


@st.cache_resource(show_spinner=False)
def workers() -> Workers:
    """The worker processes; at the server's start they resume unfinished work."""
    pool = Workers(Path(store().home), BACKGROUND_WORKERS, device=device())
    pool.warm_up()
    for run in store().runs():
        if next_task(store().log(run.run_id)).has_work:
            pool.ask(run.run_id, person_waits=False)
    return pool


@st.cache_resource(show_spinner=False, max_entries=4)
def dataset(name: str) -> ImageDataset:
    """A data set, read once per server. Raises DataError where its files are missing or broken."""
    return catalogue.load(name)
