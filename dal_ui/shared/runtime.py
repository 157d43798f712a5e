"""What all sessions of the server share: the store, the workers and the data sets.

Nothing here belongs to one user. Runs are on disk and the run's id is in the address, so a
reload, a second tab or a restarted server finds everything again.
"""

from __future__ import annotations

import os

import streamlit as st

from dal_core.data import catalogue
from dal_core.data.base import ImageDataset
from dal_core.execution.pool import Workers, n_cores
from dal_core.run.next_task import Task, next_task
from dal_core.store.base import Store
from dal_core.store.home import default_home
from dal_core.store.opening import open_store
from dal_core.upkeep.leftovers import remove_leftovers

# At least two, so that a run handed to the oracle and its random baseline advance together. Both
# pause while a person waits.
BACKGROUND_WORKERS = max(2, n_cores() - 1)


def device() -> str:
    """Where workers compute: the `--device` of `dal app`."""
    return os.environ.get("DAL_DEVICE", "cpu")


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The runs of `$DAL_HOME`."""
    return open_store(default_home())


@st.cache_resource(show_spinner=False)
def workers() -> Workers:
    """The worker processes; they continue unfinished runs when the server starts.

    Earlier measurements are made up once the run's page is open: a start must not begin to train
    the finished runs of an old home.
    """
    runs = store()
    pool = Workers(runs.home, BACKGROUND_WORKERS, device=device())
    if runs.read_only:
        pool.close()  # nothing can be stored, so nothing is computed
        return pool
    remove_leftovers(runs.home)
    pool.warm_up()
    for one in runs.survey().runs:
        task = next_task(one)
        if task.has_work and task.task is not Task.MAKE_UP:
            pool.ask(one.run.run_id, person_waits=False)
    return pool


@st.cache_resource(show_spinner=False, max_entries=4)
def dataset(name: str) -> ImageDataset:
    """A data set, read once per server. Raises DataError if its files are missing or broken."""
    return catalogue.load(name)
