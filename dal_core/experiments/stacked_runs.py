"""Conducts an experiment with stacked training: runs with equally many labels advance bench.

The fits and stochastic passes of these runs are computed as one batch (`training.stacked`). A `Job`
then does the rest of each run's step with the precomputed model and passes. The run's log, record
and files are therefore those of any other run, and a worker can continue a run started here or the
reverse. All work happens in the calling process, which should use one thread.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dal_core.execution.job import GivenUp, Job, Workbench, settle
from dal_core.experiments.control import POLL_SECONDS
from dal_core.experiments.stacked_member import Entrant, Member
from dal_core.experiments.status import ExperimentStatus, RunStatus, is_bound, status
from dal_core.learner.bayesian_cnn import FittedCNN
from dal_core.models.networks import BayesianCNN, normalise
from dal_core.posterior.base import CHUNK, CPU
from dal_core.posterior.mc_dropout import McDropoutModel
from dal_core.posterior.stacked import passes_together
from dal_core.protocol.randomness import Purpose
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.record_file.sync import experiment_dir
from dal_core.run.next_task import Task, next_task
from dal_core.run.rows import Progress
from dal_core.store.base import Store
from dal_core.store.run_lock import RunBusy, run_lock
from dal_core.training.device import free_memory
from dal_core.training.loop import Training
from dal_core.training.stacked.capacity import in_groups, runs_at_once, runs_that_fit
from dal_core.training.stacked.graph import GraphFailed
from dal_core.training.stacked.train import Look, StackedSet, train_together

LOOK_SECONDS = 0.5  # how often a fit polls its runs' directives and stores their progress
SHOW_SECONDS = 1.0  # how often the status of the whole experiment is shown
ALONE = (Task.ANSWER, Task.MAKE_UP)  # tasks that do not fit the present labels
MEMORY_SHARE = 0.8  # estimated share of the free memory that a group of runs may take


def conduct(
    store: Store,
    experiment_id: str,
    device: torch.device,
    show: Callable[[ExperimentStatus], None],
) -> None:
    """Advance an experiment until all its runs are complete, failed, paused or stopped.

    Args:
        device: where tensors are computed: `cpu` or `cuda`.
        show: called with the experiment's status about once a second.

    Raises:
        ExperimentNotFound: there is no such experiment, or it is deleted meanwhile.
    """
    shown = time.monotonic()

    def tick() -> None:
        nonlocal shown
        if time.monotonic() - shown >= SHOW_SECONDS:
            show(status(store, experiment_id))
            shown = time.monotonic()

    log = experiment_dir(store.home, experiment_id) / "workers.log"
    bench = StackedWorkbench(store, device, tick, log)
    try:
        while True:
            now = status(store, experiment_id)
            show(now)
            shown = time.monotonic()
            if not now.has_work:
                return
            if not bench.advance(now.runs):
                time.sleep(POLL_SECONDS)  # other processes are working on the runs
    finally:
        bench.records.write_all()


class StackedWorkbench(Workbench):
    """Advances runs bench. Keeps all their learners, and the images on the device.

    Args:
        tick: called between epochs, and after each run's own work.
        log: file to append tracebacks to.
    """

    runs_kept = 10_000

    def __init__(
        self, store: Store, device: torch.device, tick: Callable[[], None], log: Path
    ) -> None:
        super().__init__(store, device)
        self.tick, self.log = tick, log
        self.with_graph = True  # False once a capture has failed: it may never free its memory
        self._images: dict[str, Tensor] = {}
        self._at_work: set[str] = set()  # runs whose stored progress may show ongoing work

    def new_learner(self, spec: RunSpec) -> Member:
        """A learner that can be trained as part of a stack."""
        return Member(spec, self.dataset(spec.protocol.dataset), self.device)

    def images(self, name: str) -> Tensor:
        """All images of a data set, [M, channels, H, W], normalised, on the device; cached."""
        if name not in self._images:
            data = self.dataset(name)
            images = normalise(data.images, data.pixel_mean, data.pixel_std)
            self._images[name] = images.to(self.device)
        return self._images[name]

    def advance(self, runs: Sequence[RunStatus]) -> bool:
        """Do one task of each of the runs with the fewest labels, as one batch.

        Returns:
            False if other processes are working on all of them.
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
                self._alone([one for one in entrants if one.task in ALONE])
                self._measure([one for one in entrants if one.task not in ALONE])
            except GivenUp:
                pass  # every run changed or was paused; the next call reads the store again
            finally:
                for one in entrants:
                    one.learner.forget()
                for run_id in sorted(self._at_work):  # left by abandoned work
                    self._settle(run_id)
                self.records.write_due()
        return bool(entrants)

    def _enter(self, locks: ExitStack, run_id: str) -> Entrant | None:
        """Take the run's lock; None if another process holds it or the run has no work."""
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

    def _alone(self, entrants: Sequence[Entrant]) -> None:
        for one in entrants:
            with self._failing([one]):
                self._do(one)

    def _measure(self, entrants: list[Entrant]) -> None:
        """Compute the fits and passes of all runs together, then do the rest run by run."""
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

    # -- computed for all runs together --------------------------------------------------------

    def _compute(self, entrants: Sequence[Entrant]) -> list[Entrant]:
        """Fit the runs without a model and make all passes; returns the runs still wanted."""
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
        """Train the networks, with CUDA graphs until a capture fails."""
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
                warnings.warn(f"training without CUDA graphs, slower: {error}", stacklevel=2)
                self.with_graph = False
        return train_together(*arguments, with_graph=False)

    def _pass(self, part: str, entrants: list[Entrant], purpose: Purpose) -> None:
        """Make the stochastic passes of a purpose, together for runs with equally many images."""
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
        """Estimated number of runs like this one that fit into the free memory."""
        n, protocol = one.labelled.n_labelled, one.learner.protocol
        if one.learner.spec.acquisition == FULL_DATA:
            n = min(n, protocol.full_data_batch_size)
        n_validation = protocol.val_size if protocol.weights == "best" else 0
        room = int(free_memory(self.device or CPU) * MEMORY_SHARE)
        return runs_that_fit(one.learner.untrained(n), n, n_validation, room)

    def _validation(self, entrants: Sequence[Entrant]) -> StackedSet:
        ids = [one.learner.split.validation for one in entrants]
        labels = [one.learner.dataset.labels[one.learner.split.validation] for one in entrants]
        return self._stacked(list(zip(ids, labels, strict=True)))

    def _stacked(self, sets: Sequence[tuple[np.ndarray, np.ndarray]]) -> StackedSet:
        return StackedSet(*(self._tensor(arrays) for arrays in zip(*sets, strict=True)))

    def _tensor(self, arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self.device)

    # -- watching ------------------------------------------------------------------------------

    def _look(self, entrants: Sequence[Entrant]) -> Look:
        """A callback between epochs: stores progress, and raises GivenUp if no run is wanted."""
        last_poll = time.perf_counter()

        def look(epochs_done: int, losses: Sequence[float], left: float) -> None:
            nonlocal last_poll
            self.tick()
            if time.perf_counter() - last_poll < LOOK_SECONDS:
                return
            last_poll = time.perf_counter()
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
        """Whether the run still exists, is not paused and has the labels the step began with.

        If not, its results are dropped and the other runs continue.
        """
        control = self.store.control(one.run_id)
        unchanged = control.revision == one.state.revision
        return unchanged and not control.paused and not control.deleted

    @contextmanager
    def _failing(self, entrants: Sequence[Entrant]) -> Iterator[None]:
        """Record an error as a failure of these runs, so that the others continue."""
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
