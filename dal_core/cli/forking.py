"""`dal fork`: create a run that starts with a copy of another's log, and advance it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dal_core.cli import values
from dal_core.cli.errors import WrongUse
from dal_core.cli.run import finish
from dal_core.data import catalogue
from dal_core.experiments import control
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.run_spec import RunSpec
from dal_core.protocol.typed import parse_settings
from dal_core.results.run_history import moments
from dal_core.run.rows import RunRow
from dal_core.run.state import RunState
from dal_core.store.base import Store


@dataclass(frozen=True)
class Wanted:
    """The options given for the fork; None or empty: as in the original run."""

    at: str
    acquisition: str | None = None
    noise: str | None = None
    protocol: str | None = None
    set: tuple[str, ...] = ()
    title: str = ""


def fork(text: str, wanted: Wanted, *, device: str | None, home: Path | None, as_json: bool) -> int:
    """Fork the run with the id `text` and advance the fork to its end; returns the exit code.

    Raises:
        WrongUse: an option is not valid, or the run cannot be forked there.
    """
    where = values.device(device)
    store = values.open_store(home, create=False)
    log = store.log(values.find_run(store, text).run_id)
    row = _make(store, log, wanted, where)
    return finish(store, row, where, home, as_json)


def _make(store: Store, log: RunState, wanted: Wanted, device: str) -> RunRow:
    origin = log.run.spec
    name, noise = wanted.acquisition, wanted.noise
    title = values.title(wanted.title)
    spec = RunSpec(
        origin.fingerprint,
        _protocol(wanted, origin.protocol),
        origin.acquisition if name is None else values.acquisition(name),
        origin.seed,
        origin.noise if noise is None else values.noise(noise),
    )
    after = _state(log, wanted.at)
    try:
        data = catalogue.load(origin.protocol.dataset)
        return control.fork_run(
            *(store, data, log.run.run_id, after, spec),
            title=title,
            device=device,
        )
    except ValueError as error:
        raise WrongUse(str(error)) from None


def _protocol(wanted: Wanted, origin: Protocol) -> Protocol:
    if wanted.protocol is not None:
        return values.protocol(wanted.protocol, origin.dataset, wanted.set)
    with values.named("--set"):
        return override(origin, parse_settings(wanted.set))


def _state(log: RunState, text: str) -> int:
    """The last submission in the state with that many labels. Raises WrongUse."""
    states = {moment.n_labelled: moment.after for moment in moments(log)}
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) in states):
        listed = ", ".join(map(str, states))
        raise WrongUse(f"--at is {text!r}; allowed: {listed}, the labels at a step of the run")
    return states[int(text)]
