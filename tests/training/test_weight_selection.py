"""Validation in a thread gives the same result as validation in turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from dal_core.data.base import ImageDataset
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.training import weight_selection
from dal_core.training.loop import Epoch, Training, train
from tests import fast

Labelled = tuple[Tensor, Tensor]


@pytest.fixture
def helper() -> Iterator[Executor]:
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as one:
        yield one


def labelled(dataset: ImageDataset, start: int, step: int) -> Labelled:
    ids = range(start, len(dataset), step)
    return normalise(dataset.images[ids]), torch.from_numpy(dataset.labels[ids])


def trained(
    dataset: ImageDataset, helper: Executor | None, rate: float = 0.01, **more: object
) -> tuple[BayesianCNN, Training]:
    """A rash training, whose validation loss goes up and down."""
    protocol = fast.protocol(weights="best", n_epochs=40, learning_rate=rate)
    model = build_model("lenet5", protocol.dropout, seed=5)
    training = train(
        model,
        *labelled(dataset, 0, 250),
        protocol,
        torch.Generator().manual_seed(6),
        labelled(dataset, 1, 9),
        helper=helper,
        **more,  # type: ignore[arg-type]
    )
    return model, training


@pytest.mark.parametrize("full_curve", [False, True])
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.02])
def test_the_weights_and_the_history_are_the_same_to_the_last_bit(
    mnist5k: ImageDataset, helper: Executor, rate: float, full_curve: bool
) -> None:
    in_turn, whole = trained(mnist5k, None, rate, full_curve=full_curve)
    beside, history = trained(mnist5k, helper, rate, full_curve=full_curve)
    assert all(map(torch.equal, in_turn.parameters(), beside.parameters()))
    assert history.train_losses == whole.train_losses
    assert history.val_losses == whole.val_losses
    assert (history.best_epoch, history.val_loss) == (whole.best_epoch, whole.val_loss)


def test_the_training_thread_validates_nothing(
    mnist5k: ImageDataset, helper: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set[int]()
    measure = weight_selection.image_losses

    def spy(*arguments: object) -> Tensor:
        threads.add(threading.get_ident())
        return measure(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(weight_selection, "image_losses", spy)
    trained(mnist5k, helper)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_training_runs_ahead_by_a_bounded_number_of_epochs(
    mnist5k: ImageDataset, helper: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look lasts until the training is as far ahead as it may be."""
    looked, ahead, may_go = list[int](), list[int](), threading.Event()
    measure = weight_selection.Validation.measure

    def held(self: weight_selection.Validation, model: BayesianCNN) -> weight_selection.Validated:
        may_go.wait()
        measured = measure(self, model)
        looked.append(1)
        return measured

    def watch(epoch: Epoch) -> None:
        ahead.append(epoch.number - len(looked))
        if epoch.number == weight_selection.MAX_PENDING:
            may_go.set()

    monkeypatch.setattr(weight_selection.Validation, "measure", held)
    trained(mnist5k, helper, watch=watch)
    assert weight_selection.MAX_PENDING <= max(ahead) <= weight_selection.MAX_PENDING + 1
    assert len(looked) == 40


def test_a_stopped_training_leaves_no_validation_pending(
    mnist5k: ImageDataset, helper: Executor
) -> None:
    class Enough(Exception):
        pass

    def watch(epoch: Epoch) -> None:
        if epoch.number == 3:
            raise Enough

    with pytest.raises(Enough):
        trained(mnist5k, helper, watch=watch)
    assert helper.submit(threading.get_ident).result() != threading.get_ident()
    again, _ = trained(mnist5k, helper)
    alone, _ = trained(mnist5k, None)
    assert all(map(torch.equal, again.parameters(), alone.parameters()))


def test_an_error_in_the_thread_is_raised_in_the_training(
    mnist5k: ImageDataset, helper: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("no loss today")

    monkeypatch.setattr(weight_selection, "image_losses", broken)
    with pytest.raises(RuntimeError, match="no loss today"):
        trained(mnist5k, helper)
