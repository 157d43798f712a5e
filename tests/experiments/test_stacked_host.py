"""The benchmark of the host's part takes every step of an experiment through the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import stacked_host
from dal_core.data.base import ImageDataset
from dal_core.experiments.status import status
from dal_core.store.opening import open_store
from tests.experiment_kit import protocol


def test_all_steps_are_made_without_training(
    mnist5k: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for work in (
        "training.loop._train_epoch",
        "training.stacked.train.stack",
        "posterior.mc_dropout.stochastic_passes",
        "posterior.stacked.stack",
    ):
        monkeypatch.setattr(f"dal_core.{work}", pytest.fail)
    host = stacked_host.measure(tmp_path, mnist5k, protocol(), ("bald", "random"), (1, 2))
    assert host.n_steps == 4 * 3 and host.cpu > 0 and host.clock > 0
    store = open_store(tmp_path)
    (row,) = store.experiments.all()
    assert status(store, row.experiment_id).is_complete
    assert (tmp_path / "experiments" / row.experiment_id / "record.yaml").is_file()
