"""Finds what a GPU would refuse, without a GPU: on a pretended device with pretended graphs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.experiments.stacked_runs import conduct
from dal_core.experiments.status import ExperimentStatus, status
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.posterior.stacked import passes_together
from dal_core.protocol.parameters import Protocol
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.training.loop import Training
from dal_core.training.stacked import graph
from dal_core.training.stacked import train as stacked_train
from dal_core.training.stacked.capacity import in_groups
from dal_core.training.stacked.draws import Draws
from dal_core.training.stacked.graph import WARM_UP, GraphFailed
from dal_core.training.stacked.train import Epochs, StackedSet, train_together
from tests import fast
from tests.experiment_kit import measures, new_run, protocol
from tests.pretend_device import DEVICE, PretendDevice, There

CPU = torch.device("cpu")
N, V = 12, 20  # training and validation images of a run


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendDevice]:
    # A list of the devices with a fused kernel; `meta` runs the CPU's.
    adam = import_module("torch.optim.adam")
    monkeypatch.setattr(adam, "_device_dtype_check_for_fused", lambda *_, **__: None)
    with PretendDevice() as pretended:
        yield pretended


def models_of(protocol: Protocol, device: torch.device = CPU) -> list[BayesianCNN]:
    made = [build_model(protocol.which_model, protocol.dropout, seed) for seed in (1, 2, 3)]
    return [model.to(device) for model in made]


def labelled(dataset: ImageDataset, n_images: int, device: torch.device = CPU) -> StackedSet:
    ids = np.random.default_rng(n_images).integers(0, 500, (3, n_images))
    labels = torch.from_numpy(dataset.labels[ids])
    return StackedSet(torch.from_numpy(ids).to(device), labels.to(device))


def images_of(dataset: ImageDataset, device: torch.device = CPU) -> Tensor:
    return normalise(dataset.images[:500]).to(device)


def train(
    dataset: ImageDataset, protocol: Protocol, device: torch.device = CPU, **more: Any
) -> Any:
    sets = labelled(dataset, N, device), labelled(dataset, V, device)
    models, images = models_of(protocol, device), images_of(dataset, device)
    trainings = train_together(models, images, sets[0], protocol, [7, 8, 7], sets[1], **more)
    weights = [p.detach().cpu() for model in models for p in model.parameters()]
    return [(t.train_losses, t.val_losses, t.best_epoch) for t in trainings], weights


def assert_same(one: Any, other: Any) -> None:
    assert one[0] == other[0]
    assert all(map(torch.equal, one[1], other[1]))


# -- the pretended device ----------------------------------------------------------------------


def test_the_pretended_device_refuses_what_a_gpu_refuses(device: PretendDevice) -> None:
    there, here = torch.ones(3).to(DEVICE), torch.ones(3)
    with pytest.raises(AssertionError, match="mixes devices"):
        there + here
    with pytest.raises(RuntimeError, match="numpy"):
        there.numpy()
    assert isinstance(there + 1, There) and not device.read_back
    assert there.cpu().tolist() == [1, 1, 1] and float(there.sum()) == 3
    assert len(device.read_back) == 2
    device.is_sealed = True
    for forbidden in (lambda: float(there.sum()), lambda: there.cpu(), lambda: here.to(DEVICE)):
        with pytest.raises(AssertionError, match="on the host"):
            forbidden()
    with pytest.raises(AssertionError, match="on the host"):
        there[torch.tensor([0])]
    device.is_sealed = False


@pytest.mark.parametrize("weights", ["best", "last"])
@pytest.mark.parametrize("batches", [None, 5])
@pytest.mark.parametrize("name", ["lenet5", "gal_cnn"])
def test_in_an_epoch_nothing_comes_from_the_host_and_nothing_goes_to_it(
    mnist5k: ImageDataset,
    device: PretendDevice,
    monkeypatch: pytest.MonkeyPatch,
    weights: str,
    batches: int | None,
    name: str,
) -> None:
    """So it can be captured as a graph; beside it only one row of losses a block is read."""
    wanted = fast.protocol(
        weights=weights,
        which_model=name,
        n_epochs=4,
        dropout=[0.25, 0.5],
        full_data_batch_size=batches or 8,
    )
    more: dict[str, Any] = {"order_seeds": [5, 6, 5]} if batches else {}
    one = Epochs.run_one

    def sealed(self: Epochs) -> None:
        device.is_sealed = isinstance(self.images, There)
        one(self)
        device.is_sealed = False

    monkeypatch.setattr(Epochs, "run_one", sealed)
    mine = train(mnist5k, wanted, DEVICE, epochs_ahead=2, **more)
    blocks, all_losses, all_weights = 2, 3 if weights == "best" else 1, len(mine[1])
    assert len(device.read_back) == blocks + all_losses + all_weights
    assert_same(mine, train(mnist5k, wanted, epochs_ahead=2, **more))


def test_passes_stay_on_the_device(mnist5k: ImageDataset, device: PretendDevice) -> None:
    def passes(on: torch.device) -> Tensor:
        models, ids = models_of(fast.protocol(), on), labelled(mnist5k, 510, on).ids
        images = images_of(mnist5k, on)
        return torch.cat(list(passes_together(models, images, ids, 34, [1, 2, 1])), dim=2)

    probs = passes(DEVICE)
    assert isinstance(probs, There) and not device.read_back
    assert torch.equal(probs.cpu(), passes(CPU))


def test_a_stacked_experiment_gives_the_same_on_a_device_and_on_the_cpu(
    mnist5k: ImageDataset, device: PretendDevice, tmp_path: Path
) -> None:
    wanted = protocol(weights="best", n_acquisition_steps=1)
    functions = ("variation_ratios", "mean_std", "random")

    def work(store: Store, on: torch.device) -> list[Any]:
        made = control.create_experiment(*(store, mnist5k, wanted, functions, (1,)), full_data=True)

        def show(now: ExperimentStatus) -> None:
            assert not now.failures, [run.failure for run in now.failures]

        conduct(store, made.experiment_id, on, show)
        assert status(store, made.experiment_id).is_complete
        runs = store.experiments.runs(made.experiment_id)
        return [measures(store, run.run_id) for run in runs]

    mine = work(open_store(tmp_path / "device"), DEVICE)
    assert device.read_back and mine == work(open_store(tmp_path / "cpu"), CPU)


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")
@pytest.mark.parametrize("name", ["lenet5", "gal_cnn"])
def test_a_run_agrees_within_rounding_on_a_device_and_on_the_cpu(
    mnist5k: ImageDataset, device: PretendDevice, tmp_path: Path, name: str
) -> None:
    """Its model is read back from disk in between, by another worker."""

    def work(store: Store, on: torch.device) -> list[Any]:
        changes: Any = {"weights": "best", "which_model": name, "n_acquisition_steps": 1}
        run_id = new_run(store, mnist5k, **changes).run_id
        for _ in range(2):
            list(advance(Workbench(store, on), run_id, max_steps=1))
        return measures(store, run_id)

    mine, theirs = (
        work(open_store(tmp_path / "device"), DEVICE),
        work(open_store(tmp_path / "cpu"), CPU),
    )
    assert device.read_back and len(mine) == 2
    for one, other in zip(mine, theirs, strict=True):
        assert one[:2] == other[:2]
        assert one[2:] == pytest.approx(other[2:], rel=1e-3)


def test_a_person_is_asked_and_shown_from_a_device(
    mnist5k: ImageDataset, device: PretendDevice, tmp_path: Path
) -> None:
    store = open_store(tmp_path)
    run = new_run(store, mnist5k, "random", person=True)
    list(advance(Workbench(store, DEVICE), run.run_id))
    query = store.log(run.run_id).open_query
    assert query is not None and device.read_back
    probs = store.shown_probs(query.query_id)
    assert probs is not None and probs.sum(-1) == pytest.approx(1, abs=1e-5)


# -- graphs ------------------------------------------------------------------------------------


class Graph:
    """Replays by doing the work again: what a captured one does, if it reads nothing stale."""

    def __init__(self, work: Any) -> None:
        self.replay = work


@pytest.mark.parametrize("n_epochs", [WARM_UP, WARM_UP + 1, 9])
def test_the_graph_is_captured_once_after_the_warm_up_and_replayed(
    mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch, n_epochs: int
) -> None:
    wanted, steps = fast.protocol(weights="best", n_epochs=n_epochs), list[str]()

    class Graphed(Epochs):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.with_graph = True

    def warm_up(work: Any) -> None:
        steps.append("warm-up")
        work()

    def capture(work: Any) -> Graph:
        steps.append("capture")
        return Graph(work)

    plain = train(mnist5k, wanted, epochs_ahead=2)
    monkeypatch.setattr(stacked_train, "Epochs", Graphed)
    monkeypatch.setattr(stacked_train, "run_on_side_stream", warm_up)
    monkeypatch.setattr(stacked_train, "capture", capture)
    assert_same(train(mnist5k, wanted, epochs_ahead=2), plain)
    assert steps == ["warm-up"] * WARM_UP + ["capture"] * (n_epochs > WARM_UP)


def test_tensors_that_an_epoch_reads_and_writes_keep_their_addresses(mnist5k: ImageDataset) -> None:
    """A graph knows addresses, not tensors."""
    wanted = fast.protocol(weights="best", n_epochs=4)
    sets = labelled(mnist5k, N), labelled(mnist5k, V)
    images = images_of(mnist5k)

    def addresses(epochs: Epochs) -> list[int]:
        states = [t for state in epochs.optimiser.state.values() for t in state.values()]
        best, draws = epochs.best, epochs.draws
        assert best is not None and len(states) == 3 * len(epochs.weights)
        kept = [*best.weights.values(), best.lowest, best.losses, best.epoch, best.patches]
        drawn = [*draws.block.kept, draws.stream]
        mine = [epochs.epoch, epochs.train_losses, *epochs.model.parameters.values()]
        return [t.data_ptr() for t in (*states, *kept, *drawn, *mine, *epochs.weights)]

    with Draws(models_of(wanted)[0], N, [1, 2, 3], None, None, 1, CPU) as draws:
        epochs = Epochs(models_of(wanted), images, sets[0], wanted, sets[1], draws, False)
        draws.next_block(is_last=False)
        epochs.run(1)
        before = addresses(epochs)
        for is_last in (False, True):
            draws.next_block(is_last)
            epochs.run(1)
            assert addresses(epochs) == before


class Cuda:
    """What a capture calls of `torch.cuda`; `ends` is False where it cannot be ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ends: bool) -> None:
        self.current, self.ends = "before", ends
        for name in ("Stream", "CUDAGraph", "current_stream", "stream", "graph"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name), raising=False)
        monkeypatch.setattr(graph, "side_stream", lambda: "beside")

    Stream = CUDAGraph = object

    def current_stream(self) -> str:
        return self.current

    def stream(self, stream: str) -> Any:
        return _Within(self, stream)

    def graph(self, graph: object, stream: str, capture_error_mode: str) -> Any:
        assert capture_error_mode == "thread_local"
        return _Within(self, stream, self.ends)


class _Within:
    """As PyTorch's own: what fails to end does not go back to the stream before."""

    def __init__(self, cuda: Cuda, stream: str, ends: bool = True) -> None:
        self.cuda, self.stream, self.ends, self.before = cuda, stream, ends, cuda.current

    def __enter__(self) -> None:
        self.before, self.cuda.current = self.cuda.current, self.stream

    def __exit__(self, *_: object) -> None:
        if not self.ends:
            raise RuntimeError("the capture is invalid")
        self.cuda.current = self.before


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (None, None, ""),
        (RuntimeError("not permitted"), GraphFailed, "could not be captured: not permitted"),
        (torch.cuda.OutOfMemoryError("short"), torch.cuda.OutOfMemoryError, "short"),
    ],
)
def test_a_failed_capture_gives_the_reason_and_restores_the_stream(
    monkeypatch: pytest.MonkeyPatch, ends: bool, error: Any, raised: Any, message: str
) -> None:
    cuda = Cuda(monkeypatch, ends)
    on = list[str]()

    def work() -> None:
        on.append(cuda.current)
        if error:
            raise error

    if not error and not ends:
        raised, message = GraphFailed, "could not be captured: the capture is invalid"
    with pytest.raises(raised, match=message) if raised else nullcontext():
        graph.capture(work)
    assert on == ["beside"] and cuda.current == "before"


# -- memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory_is_short", [False, True])
def test_a_groups_memory_is_freed_before_the_next_group(
    mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch, memory_is_short: bool
) -> None:
    """By reference counts: Python's collector of cycles comes when it likes."""
    held = list[weakref.ref[Epochs]]()
    run = Epochs.run

    def watched(self: Epochs, n_epochs: int) -> None:
        assert not [one for one in held if one() is not None and one() is not self]
        held.append(weakref.ref(self))
        run(self, n_epochs)
        if memory_is_short and len(self.train_losses[0]) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Epochs, "run", watched)
    wanted, images = fast.protocol(weights="best", n_epochs=1), images_of(mnist5k)
    sets = labelled(mnist5k, N), labelled(mnist5k, V)
    trained = list[Training]()

    def work(group: list[int]) -> None:
        some = [StackedSet(one.ids[group], one.labels[group]) for one in sets]
        models = [models_of(wanted)[member] for member in group]
        trained.extend(train_together(models, images, some[0], wanted, group, some[1]))

    gc.collect()
    gc.disable()
    try:
        in_groups(work, [0, 1, 2], 2)
    finally:
        gc.enable()
    assert len(trained) == 3 and len(held) == (4 if memory_is_short else 2)
    assert all(one() is None for one in held)
