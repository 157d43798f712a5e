"""`dal replay`: refit the labels of a file or a run, step by step, in this process.

All input is checked before anything is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dal_core.cli import results, values
from dal_core.cli.errors import DONE, FAILED, INTERRUPTED, Failed, WrongUse
from dal_core.cli.resuming import other_dataset
from dal_core.cli.run import say
from dal_core.cli.watching import watching
from dal_core.data import catalogue
from dal_core.data.base import ImageDataset
from dal_core.exchange import labels_in
from dal_core.exchange.labels_out import label_rows
from dal_core.limits.files import read_file
from dal_core.limits.refused import Refused
from dal_core.limits.text import name_from
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.run_spec import FULL_DATA, MAX_SEED, RunSpec
from dal_core.run.events import AnsweredBatch
from dal_core.run.rows import Diverged, RunNotFound
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_core.store.home import default_home
from dal_core.store.opening import has_store
from dal_core.store.run_lock import RunBusy, is_locked


@dataclass(frozen=True)
class Wanted:
    """The options given for the refit; None: as in the run, or the default for a file."""

    protocol: str | None = None
    acquisition: str | None = None
    seed: str | None = None
    dataset: str | None = None
    set: tuple[str, ...] = ()
    title: str | None = None


def refit(
    labels: str, wanted: Wanted, *, device: str | None, home: Path | None, as_json: bool
) -> int:
    """Refit the labels of a file or a stored run; returns the exit code.

    Args:
        labels: path of a file of labels, or the id of a run.

    Raises:
        WrongUse: an argument is not valid; nothing is written.
        RunBusy: another process is working on the same refit.
        Failed: the run was deleted meanwhile.
    """
    where, path = values.device(device), values.path("LABELS", labels)
    # An earlier refit is found by its title too, so the title keeps the word "replay".
    name = name_from(f"replay of {path.name}")
    title = name if wanted.title is None else values.title(wanted.title)
    source = None if path.is_file() else _stored(labels, home)
    protocol = _protocol(wanted, source)
    acquisition = values.acquisition(
        wanted.acquisition or _spec_value(source, "acquisition", "bald")
    )
    seed_text = wanted.seed or _spec_value(source, "seed", 1)
    seed = values.whole_number("--seed", seed_text, 0, MAX_SEED)
    data = catalogue.load(protocol.dataset)
    spec = RunSpec(data.fingerprint, protocol, acquisition, seed)
    batches = _batches(labels, wanted, source, data, spec)
    store = values.open_store(home, create=True)
    run_id = _begin(store, data, spec, batches, title, where)
    print(run_id, file=sys.stderr if as_json else sys.stdout, flush=True)
    if wanted.protocol or source is None:
        say(other_dataset(wanted.protocol or "quick", protocol))
    code = _work(store, run_id, where)
    if code == DONE:
        log = store.log(run_id)
        print(json.dumps(results.as_object(log)) if as_json else results.last_line(log))
    return code


def _begin(
    store: Store,
    data: ImageDataset,
    spec: RunSpec,
    batches: Sequence[AnsweredBatch],
    title: str,
    device: str,
) -> str:
    from dal_core.exchange.refit import begin

    run = begin(store, data, spec, batches, title=title, device=device)
    if is_locked(store.home, run.run_id):
        raise RunBusy(
            f"run {run.run_id}, which refits the same labels, is being worked on by another process"
        )
    return run.run_id


def _stored(labels: str, home: Path | None) -> RunState:
    """The stored run with the id `labels`. Raises WrongUse."""
    allowed = "a file of labels (CSV or JSON lines), or the id of a run"
    if not has_store(home or default_home()):
        raise WrongUse(f"LABELS is {labels!r}, which is not a file; allowed: {allowed}")
    store = values.open_store(home, create=False)
    try:
        log = store.log(values.find_run(store, labels, "LABELS").run_id)
    except WrongUse as error:
        raise WrongUse(f"{error}; allowed: {allowed}") from None
    if log.run.spec.acquisition == FULL_DATA or not log.submissions:
        raise WrongUse(f"LABELS is {labels!r}, a run without answers; allowed: {allowed}")
    return log


def _protocol(wanted: Wanted, source: RunState | None) -> Protocol:
    own = None if source is None or wanted.protocol else source.run.spec.protocol
    return values.protocol(wanted.protocol or "quick", wanted.dataset, wanted.set, own)


def _spec_value(source: RunState | None, name: str, default: object) -> str:
    return str(default if source is None else getattr(source.run.spec, name))


def _batches(
    labels: str, wanted: Wanted, source: RunState | None, data: ImageDataset, spec: RunSpec
) -> list[AnsweredBatch]:
    try:
        if source is None:
            content = read_file(values.path("LABELS", labels), labels_in.MAX_BYTES)
            rows = labels_in.read_labels(content, data.n_classes)
        else:
            source_data = catalogue.load(source.run.spec.protocol.dataset)
            rows = labels_in.given_labels(label_rows(source, source_data))
        with values.named("--set" if wanted.set else "--protocol"):
            return labels_in.to_batches(rows, data, spec)
    except OSError as error:
        raise WrongUse(f"LABELS is {labels!r}, which cannot be read: {error.strerror}") from None
    except (labels_in.LabelFileError, Refused) as error:
        raise WrongUse(f"LABELS is {labels!r}: {error}") from None


def _work(store: Store, run_id: str, device: str) -> int:
    """Fit and measure the states that are not measured yet; returns the exit code."""
    import torch

    from dal_core.exchange.refit import measure, states, unmeasured
    from dal_core.execution.job import Workbench
    from dal_core.training.memory import bound_memory

    bound_memory()
    torch.set_num_threads(1)  # results differ in bits between one and two threads
    log = store.log(run_id)
    sizes = [log.n_labelled_at(after) for after in states(log)]
    bench = Workbench(store, torch.device(device))
    try:
        with watching(store, run_id, sizes) as watch:
            for step in measure(bench, run_id, watch.tick):
                watch.step(step)
    except KeyboardInterrupt:
        say("stopped; the same command continues")
        return INTERRUPTED
    except RunNotFound:
        raise Failed(f"run {run_id} was deleted meanwhile") from None
    except Diverged as error:
        store.add_failure(run_id, str(error))
        raise
    if unmeasured(store.log(run_id)):
        say(f"run {run_id} was paused or changed by another process; the same command continues")
        return FAILED
    return DONE
