"""An experiment whose runs are trained stacked: all of one size advance together, step by step.

The fits and the stochastic passes of all runs are computed at once (`training.stacked`). Each
run's own work is done by a `Job` whose learner finds the model and the passes ready, so its
queries, answers, steps, records and files are those of any other run, and a worker can continue
a run that was begun here, or the other way round. It all happens in the calling process, which
should have one thread: the experiment is one batch.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dal_core.acquisition import registry
from dal_core.execution.job import GivenUp, Job, Workbench, settle
from dal_core.experiments.control import POLL_SECONDS
from dal_core.experiments.status import ExperimentStatus, RunStatus, is_bound, status
from dal_core.learner.base import Fitted, ImageProgress
from dal_core.learner.bayesian_cnn import BayesianCNNLearner, FittedCNN
from dal_core.models.networks import BayesianCNN, normalise
from dal_core.posterior.base import CHUNK, CPU
from dal_core.posterior.mc_dropout import McDropout, McDropoutModel
from dal_core.posterior.stacked import passes_together
from dal_core.protocol.randomness import Purpose
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.record_file.sync import experiment_dir
from dal_core.run.events import Query, StepResult
from dal_core.run.labelled import Labelled
from dal_core.run.next_task import Task, answers_itself, next_task
from dal_core.run.rows import Progress
from dal_core.run.state import RunState
from dal_core.run.stop_rules import finished
from dal_core.store.base import Store
from dal_core.store.run_lock import RunBusy, run_lock
from dal_core.training.device import free_memory
from dal_core.training.loop import Training, Watch
from dal_core.training.stacked.capacity import in_groups, runs_at_once, runs_that_fit
from dal_core.training.stacked.graph import GraphFailed
from dal_core.training.stacked.train import Look, StackedSet, train_together

LOOK_SECONDS = 0.5  # between two looks of a fit at its runs' directives, and reports of progress
SHOW_SECONDS = 1.0  # between two looks at the whole experiment while it is worked on
MEMORY_SHARE = 0.8  # of the free memory that a group of runs may be expected to take


def conduct(
    store: Store,
    experiment_id: str,
    device: torch.device,
    show: Callable[[ExperimentStatus], None],
) -> None:
    """Work on an experiment until all its runs are complete, failed, paused or stopped.

    Args:
        device: where tensors are computed, `cpu` or `cuda`.
        show: called with the experiment's status about once a second.
    """
    shown = time.monotonic()

    def tick() -> None:
        nonlocal shown
        if time.monotonic() - shown >= SHOW_SECONDS:
            show(status(store, experiment_id))
            shown = time.monotonic()

    log = experiment_dir(store.home, experiment_id) / "workers.log"
    together = Together(store, device, tick, log)
    try:
        while True:
            now = status(store, experiment_id)
            show(now)
            shown = time.monotonic()
            if not now.has_work:
                return
            if not together.advance(now.runs):
                time.sleep(POLL_SECONDS)  # others work on them
    finally:
        together.records.write_all()


class Member(BayesianCNNLearner):
    """A learner whose model and passes may have been computed already, with those of others.

    `trained` and `passes` are used once; what is missing is computed as by any learner.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.trained: McDropoutModel | None = None
        self.passes: dict[int, list[Tensor]] = {}  # chunks [T, n, C] by the seed of their masks
        self.seconds: dict[str, float] = {}  # share of the time that the passes took, by part
        self._candidates_now: tuple[tuple[int, int], np.ndarray] | None = None

    @property
    def is_stackable(self) -> bool:
        """Whether its posterior is the one that can be trained with others."""
        return isinstance(self.posterior, McDropout)

    def forget(self) -> None:
        """Drop what was not used."""
        self.trained, self.passes, self.seconds = None, {}, {}

    def untrained(self, n_labelled: int) -> BayesianCNN:
        """The network with the initial weights of a step."""
        assert isinstance(self.posterior, McDropout)
        return self.posterior.untrained(self.seed(Purpose.INITIAL_WEIGHTS, n_labelled))

    def fit(self, labelled: Labelled, watch: Watch | None = None) -> FittedCNN:
        if self.trained is None:
            return super().fit(labelled, watch)
        model, self.trained = self.trained, None
        return self.fitted(model, labelled)

    def evaluate(self, fitted: Fitted, progress: ImageProgress | None = None) -> StepResult:
        result = super().evaluate(fitted, progress)
        return replace(result, seconds=self._with_share(result.seconds, fitted, "evaluate"))

    def query(
        self,
        fitted: Fitted,
        labelled: Labelled,
        progress: ImageProgress | None = None,
        n_kept: int | None = None,
    ) -> tuple[Query, np.ndarray | None]:
        asked = super().query(fitted, labelled, progress, n_kept)
        self._with_share({}, fitted, "score")
        return asked

    def pool_subset(self, labelled: Labelled) -> np.ndarray:
        """Needed twice a step, and not cheap: it permutes all ids."""
        state = labelled.after, labelled.corrected
        if self._candidates_now is None or self._candidates_now[0] != state:
            self._candidates_now = state, super().pool_subset(labelled)
        return self._candidates_now[1]

    def _passes(
        self, fitted: FittedCNN, ids: np.ndarray, purpose: Purpose, progress: ImageProgress | None
    ) -> Iterable[Tensor]:
        ready = self.passes.pop(self.seed(purpose, fitted.n_labelled), None)
        return super()._passes(fitted, ids, purpose, progress) if ready is None else ready

    def _with_share(
        self, seconds: Mapping[str, float], fitted: Fitted, part: str
    ) -> dict[str, float]:
        """Add the time that the stacked passes took to what the model knows of its durations."""
        assert isinstance(fitted, FittedCNN)
        share = self.seconds.pop(part, None)
        if share is not None:
            fitted.seconds[part] += share
        return {**seconds, **fitted.seconds}


@dataclass(frozen=True)
class Entrant:
    """A run that takes part in the step, in the state it was found in."""

    state: RunState
    learner: Member
    labelled: Labelled
    fitted: FittedCNN | None

    @property
    def run_id(self) -> str:
        return self.state.run.run_id

    @property
    def task(self) -> Task:
        return next_task(self.state).task

    @property
    def network(self) -> BayesianCNN:
        """The trained network, from this step's fit or from an earlier one."""
        model = self.learner.trained or (self.fitted and self.fitted.model)
        assert isinstance(model, McDropoutModel)
        return model.network

    @property
    def will_ask(self) -> bool:
        """Whether its task scores the pool, as far as can be told beforehand."""
        function = registry.find(self.state.run.spec.acquisition)
        if function is None or function.needs == "nothing" or self.state.is_asked:
            return False
        after_measuring = answers_itself(self.state) and not finished(self.state)
        return self.task is Task.QUERY or (self.task is Task.EVALUATE and after_measuring)

    def seed(self, purpose: Purpose) -> int:
        """The seed of a purpose at this step."""
        return self.learner.seed(purpose, self.labelled.n_labelled)

    def images(self, purpose: Purpose) -> np.ndarray:
        """Ids of the images that passes of a purpose are made over."""
        if purpose is Purpose.MC_DROPOUT_TEST:
            return self.learner.test_subset(self.labelled.n_labelled)
        return self.learner.pool_subset(self.labelled)


class Together(Workbench):
    """Advances runs together; keeps the learners of all of them and the images on the device.

    Args:
        tick: called between epochs, and after each run's own work.
        log: file that tracebacks are appended to.
    """

    runs_kept = 10_000

    def __init__(
        self, store: Store, device: torch.device, tick: Callable[[], None], log: Path
    ) -> None:
        super().__init__(store, device)
        self.tick, self.log = tick, log
        self.with_graph = True  # until it fails: a failed capture may keep its memory for good
        self._images: dict[str, Tensor] = {}
        self._at_work: set[str] = set()  # runs whose row of progress may say what is being done

    def new_learner(self, spec: RunSpec) -> Member:
        return Member(spec, self.dataset(spec.protocol.dataset), self.device)

    def images(self, name: str) -> Tensor:
        """[M, channels, H, W] all images of a data set, normalised, on the device; made once."""
        if name not in self._images:
            data = self.dataset(name)
            images = normalise(data.images, data.pixel_mean, data.pixel_std)
            self._images[name] = images.to(self.device)
        return self._images[name]

    def advance(self, runs: Sequence[RunStatus]) -> bool:
        """Bring those of the runs that are least far one task on, all at once.

        Runs that other processes are working on are left to them for the moment.

        Returns:
            False where that is all of them.
        """
        groups = defaultdict(list)
        for log in (run.log for run in runs if run.has_work):
            groups[is_bound(log.run), log.n_labelled].append(log.run.run_id)
        return any(self._advance(n, groups[bound, n]) for bound, n in sorted(groups))

    def _advance(self, n_labelled: int, run_ids: Sequence[str]) -> bool:
        with ExitStack() as locks:
            found = [self._enter(locks, run_id) for run_id in run_ids]
            entrants = [one for one in found if one and one.state.n_labelled == n_labelled]
            try:
                self._answer([one for one in entrants if one.task is Task.ANSWER])
                self._measure([one for one in entrants if one.task is not Task.ANSWER])
            except GivenUp:
                pass  # all of them are unwanted; the store says what is wanted now
            finally:
                for one in entrants:
                    one.learner.forget()
                for run_id in sorted(self._at_work):  # given up, like a worker's
                    self._settle(run_id)
                self.records.write_due()
        return bool(entrants)

    def _enter(self, locks: ExitStack, run_id: str) -> Entrant | None:
        """Take the run's lock; None where another process has it, or there is nothing to do."""
        try:
            locks.enter_context(run_lock(self.store.home, run_id))
        except RunBusy:
            return None
        state = self.store.log(run_id)
        if not next_task(state).has_work:
            return None
        learner = self.warm(state.run).learner
        labelled = self.labelled(state)
        fitted = self.fitted(state.run, labelled)
        assert isinstance(learner, Member) and isinstance(fitted, FittedCNN | None)
        return Entrant(state, learner, labelled, fitted)

    def _answer(self, entrants: Sequence[Entrant]) -> None:
        for one in entrants:
            with self._failing([one]):
                self._do(one)

    def _measure(self, entrants: list[Entrant]) -> None:
        """What is computed for all, then each run's own work."""
        self._at_work.update(one.run_id for one in entrants)
        ready = list[Entrant]()
        with self._failing(entrants):
            ready = self._compute(entrants)
        for one in ready:
            with self._failing([one]):
                self._do(one)
                self._settle(one.run_id)
            self.tick()

    def _do(self, one: Entrant) -> None:
        for _ in Job(self, one.state, lambda: None).do(one.task):
            pass

    # -- all at once ---------------------------------------------------------------------------

    def _compute(self, entrants: Sequence[Entrant]) -> list[Entrant]:
        """Fit those that have no model, make all passes; returns the runs still wanted."""
        stackable = [one for one in entrants if one.learner.is_stackable]
        self._fit([one for one in stackable if one.fitted is None])
        wanted = [one for one in entrants if self._is_wanted(one)]
        stackable = [one for one in wanted if one.learner.is_stackable]
        evaluated = [one for one in stackable if one.task is Task.EVALUATE]
        measured = [one for one in evaluated if one.state.run.has_test_set]
        self._pass("evaluate", measured, Purpose.MC_DROPOUT_TEST)
        self._pass("score", [one for one in stackable if one.will_ask], Purpose.MC_DROPOUT_POOL)
        return wanted

    def _fit(self, entrants: list[Entrant]) -> None:
        if entrants:
            in_groups(self._fit_group, entrants, self._room_for(entrants[0]))

    def _fit_group(self, entrants: list[Entrant]) -> None:
        networks = [one.learner.untrained(one.labelled.n_labelled) for one in entrants]
        trainings = self._train(networks, entrants, self._look(entrants))
        for one, network, training in zip(entrants, networks, trainings, strict=True):
            one.learner.trained = McDropoutModel(network, training)

    def _train(
        self, networks: list[BayesianCNN], entrants: Sequence[Entrant], look: Look
    ) -> list[Training]:
        """Train the networks; once a graph has failed, without graphs from then on."""
        first = entrants[0].learner
        protocol, bound = first.protocol, first.spec.acquisition == FULL_DATA
        arguments = (
            networks,
            self.images(protocol.dataset),
            self._stacked([(one.labelled.ids, one.labelled.labels) for one in entrants]),
            protocol,
            [one.seed(Purpose.TRAINING_DROPOUT) for one in entrants],
            self._validation(entrants) if protocol.weights == "best" else None,
            [one.seed(Purpose.BATCH_ORDER) for one in entrants] if bound else None,
            look,
        )
        if self.with_graph:
            try:
                return train_together(*arguments)
            except GraphFailed as error:
                warnings.warn(f"without CUDA graphs, slower: {error}", stacklevel=2)
                self.with_graph = False
        return train_together(*arguments, with_graph=False)

    def _pass(self, part: str, entrants: list[Entrant], purpose: Purpose) -> None:
        """Make the stochastic passes of a purpose; runs with equally many images go together."""
        started = time.perf_counter()
        by_size = defaultdict(list)
        for one in entrants:
            by_size[len(one.images(purpose))].append(one)
        for group in by_size.values():
            at_most = runs_at_once(group[0].network, CHUNK)
            in_groups(lambda some: self._pass_group(some, purpose), group, at_most)
        for one in entrants:
            one.learner.seconds[part] = (time.perf_counter() - started) / len(entrants)

    def _pass_group(self, group: list[Entrant], purpose: Purpose) -> None:
        protocol = group[0].learner.protocol
        chunks = passes_together(
            [one.network for one in group],
            self.images(protocol.dataset),
            self._tensor([one.images(purpose) for one in group]),
            protocol.num_mc_samples,
            [one.seed(purpose) for one in group],
        )
        by_chunk = [list(chunk) for chunk in chunks]
        for one, passes in zip(group, zip(*by_chunk, strict=True), strict=True):
            one.learner.passes[one.seed(purpose)] = list(passes)

    def _room_for(self, one: Entrant) -> int:
        """How many runs like this one there should be memory for."""
        n, protocol = one.labelled.n_labelled, one.learner.protocol
        if one.learner.spec.acquisition == FULL_DATA:
            n = min(n, protocol.full_data_batch_size)
        n_validation = protocol.val_size if protocol.weights == "best" else 0
        room = int(free_memory(self.device or CPU) * MEMORY_SHARE)
        return runs_that_fit(one.learner.untrained(n), n, n_validation, room)

    def _validation(self, entrants: Sequence[Entrant]) -> StackedSet:
        held_out = [one.learner.split.validation for one in entrants]
        labels = [one.learner.dataset.labels for one in entrants]
        return self._stacked([(v, all_[v]) for v, all_ in zip(held_out, labels, strict=True)])

    def _stacked(self, sets: Sequence[tuple[np.ndarray, np.ndarray]]) -> StackedSet:
        return StackedSet(*(self._tensor(arrays) for arrays in zip(*sets, strict=True)))

    def _tensor(self, arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self.device)

    # -- watching ------------------------------------------------------------------------------

    def _look(self, entrants: Sequence[Entrant]) -> Look:
        """Between epochs: give up when nobody wants the group any more, report how far it is."""
        looked = time.perf_counter()

        def look(epochs_done: int, losses: Sequence[float], left: float) -> None:
            nonlocal looked
            self.tick()
            if time.perf_counter() - looked < LOOK_SECONDS:
                return
            looked = time.perf_counter()
            wanted = [
                (one, loss)
                for one, loss in zip(entrants, losses, strict=True)
                if self._is_wanted(one)
            ]
            if not wanted:
                raise GivenUp
            for one, loss in wanted:
                protocol, n = one.learner.protocol, one.state.n_labelled
                progress = Progress("train", n, epochs_done, protocol.n_epochs, loss, left)
                self.store.set_progress(one.run_id, progress)

        return look

    def _is_wanted(self, one: Entrant) -> bool:
        """Whether the run still exists, goes on, and has the labels it was found with.

        One that is not gives nothing up for the others: what was computed for it is dropped.
        """
        control = self.store.control(one.run_id)
        unchanged = control.revision == one.state.revision
        return unchanged and not control.paused and not control.deleted

    @contextmanager
    def _failing(self, entrants: Sequence[Entrant]) -> Iterator[None]:
        """Whoever fails is marked and left alone, as by a worker; the others go on."""
        try:
            yield
        except GivenUp:
            raise
        except Exception as error:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a") as file:
                traceback.print_exc(file=file)
            for one in entrants:
                self._settle(one.run_id, f"{type(error).__name__}: {error}")

    def _settle(self, run_id: str, message: str = "") -> None:
        self._at_work.discard(run_id)
        settle(self.store, run_id, message)
