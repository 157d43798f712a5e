"""`dal run`: start or resume a run that the oracle answers, and advance it in this process.

The run follows its stored directives, so a worker of the app can continue it. All input is checked
before anything is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dal_core.cli import results, values
from dal_core.cli.errors import DONE, FAILED, INTERRUPTED, Failed, WrongUse
from dal_core.cli.resuming import check_same_data, other_dataset, other_versions, refuse_changes
from dal_core.cli.watching import watching
from dal_core.data import catalogue
from dal_core.data.base import ImageDataset
from dal_core.experiments.control import create_run
from dal_core.protocol.run_spec import MAX_SEED, RunSpec
from dal_core.record_file.sync import write_run_record
from dal_core.run.next_task import next_task
from dal_core.run.rows import Diverged, RunNotFound, RunRow
from dal_core.run.splits import split_of
from dal_core.run.stop_rules import finished
from dal_core.store.base import Store
from dal_core.store.run_lock import RunBusy, is_locked


@dataclass(frozen=True)
class Wanted:
    """The options of a new run."""

    protocol: str = "quick"
    acquisition: str = "bald"
    seed: str = "1"
    dataset: str | None = None
    posterior: str | None = None
    noise: str = "0"
    set: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stops:
    """The stop rules as text (docs/method.md, section 5)."""

    until_labels: str | None = None
    until_accuracy: str | None = None

    def read(self, spec: RunSpec, n_initial: int | None = None) -> dict[str, Any]:
        """The directives for the options that were given. Raises WrongUse.

        Args:
            n_initial: size of the initial set; None: that of the protocol.
        """
        given: dict[str, Any] = {}
        if self.until_labels is not None:
            least = spec.protocol.train_size if n_initial is None else n_initial
            most = spec.labels_at_end(least)
            given["until_labels"] = values.whole_number(
                "--until-labels", self.until_labels, least, most
            )
        if self.until_accuracy is not None:
            if catalogue.get(spec.protocol.dataset).test_set == "none":
                raise WrongUse(
                    f"--until-accuracy is {self.until_accuracy!r}; allowed: with a data set that "
                    f"has a test set, and {spec.protocol.dataset} has none"
                )
            given["until_accuracy"] = values.accuracy("--until-accuracy", self.until_accuracy)
        return given


def run(
    given: Mapping[str, Any],
    stops: Stops,
    *,
    resume: str | None,
    device: str | None,
    home: Path | None,
    as_json: bool,
) -> int:
    """Start or resume a run and advance it to its end; returns the exit code.

    Args:
        given: the fields of `Wanted` that were given; must be empty with `resume`.
        resume: id of the run to continue, or its start.

    Raises:
        WrongUse: an option is not valid; nothing is written.
        RunBusy: another process is working on the run.
        Failed: the run was deleted meanwhile.
    """
    where = values.device(device)
    if resume is None:
        wanted = Wanted(**given)
        store, row = _begin(wanted, stops, where, home)
        note = other_dataset(wanted.protocol, row.spec.protocol)
    else:
        refuse_changes(given, "run", "--until-labels, --until-accuracy, --device, --home, --json")
        store, row = _resume(resume, stops, home)
        note = other_versions(row, where)
    return finish(store, row, where, home, as_json, note)


def finish(
    store: Store, row: RunRow, where: str, home: Path | None, as_json: bool, note: str = ""
) -> int:
    """Print the run's id, advance it to its end and print the result; returns the exit code."""
    print(row.run_id, file=sys.stderr if as_json else sys.stdout, flush=True)
    say(note)
    code = DONE
    if next_task(store.log(row.run_id)).has_work:
        code = _work(store, row.run_id, where, home)
    else:
        write_run_record(store, row.run_id)  # it may be out of date after a kill
    if code == DONE:
        log = store.log(row.run_id)
        say(finished(log) or "")
        print(json.dumps(results.as_object(log)) if as_json else results.last_line(log))
    return code


def _begin(wanted: Wanted, stops: Stops, device: str, home: Path | None) -> tuple[Store, RunRow]:
    acquisition = values.acquisition(wanted.acquisition)
    seed = values.whole_number("--seed", wanted.seed, 0, MAX_SEED)
    noise = values.noise(wanted.noise)
    protocol = values.protocol(
        wanted.protocol, wanted.dataset, wanted.set, posterior_name=wanted.posterior
    )
    Stops(None, stops.until_accuracy).read(RunSpec("", protocol, acquisition, seed))
    data = catalogue.load(protocol.dataset)
    spec = RunSpec(data.fingerprint, protocol, acquisition, seed, noise)
    with values.named("--set" if wanted.set else "--dataset"):
        split = split_of(spec, data)
    check_oracle(data)
    directives = stops.read(spec, len(split.initial))
    store = values.open_store(home, create=True)
    row = create_run(store, data, spec, device=device, **directives)
    store.set_directives(row.run_id, oracle_until=row.max_labels)
    return store, row


def check_oracle(data: ImageDataset) -> None:
    """Refuse a data set none of whose labels are known, before a run of the oracle is created."""
    if not data.known.any():
        raise WrongUse(
            f"--dataset is {data.name!r}, which has no labels for the oracle to answer with; "
            "allowed: a data set with labels (`dal app` lets you label this one)"
        )


def _resume(text: str, stops: Stops, home: Path | None) -> tuple[Store, RunRow]:
    store = values.open_store(home, create=False)
    row = values.find_run(store, text, "--resume")
    if row.kind != "oracle":
        raise WrongUse(
            f"--resume is {text!r}, a run that a person labels; allowed: a run of the oracle "
            "(the app can let the oracle answer a person's run)"
        )
    directives = stops.read(row.spec, row.n_initial)
    check_same_data(text, "a run", row)
    if is_locked(store.home, row.run_id):
        raise RunBusy(f"run {row.run_id} is being worked on by another process; try again later")
    store.set_directives(row.run_id, oracle_until=row.max_labels, paused=False, **directives)
    store.retry(row.run_id)
    return store, row


def _work(store: Store, run_id: str, device: str, home: Path | None) -> int:
    """Advance the run until it ends; returns the exit code."""
    resume = f"`dal run --resume {run_id}{f' --home {home}' if home else ''}` continues"
    try:
        _advance(store, run_id, device)
    except KeyboardInterrupt:
        # Otherwise the app would continue the run when it is next opened.
        store.set_directives(run_id, oracle_until=None)
        say(f"stopped at {store.log(run_id).n_labelled} labels; {resume}")
        return INTERRUPTED
    except RunNotFound:
        raise Failed(f"run {run_id} was deleted meanwhile") from None
    except Diverged as error:
        store.add_failure(run_id, str(error))
        raise
    log = store.log(run_id)
    if finished(log) is None:
        say(f"paused by another process at {log.n_labelled} labels; {resume}")
        return FAILED
    return DONE


def _advance(store: Store, run_id: str, device: str) -> None:
    import torch

    from dal_core.execution.job import Workbench, advance
    from dal_core.training.memory import bound_memory

    bound_memory()
    torch.set_num_threads(1)  # results differ in bits between one and two threads
    with watching(store, run_id) as watch:
        for step in advance(Workbench(store, torch.device(device)), run_id, watch.tick):
            watch.step(step)


def say(line: str) -> None:
    """Print one line to standard error; nothing if it is empty."""
    if line:
        print(f"dal: {line}", file=sys.stderr, flush=True)
