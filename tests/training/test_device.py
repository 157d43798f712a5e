"""Choosing the device by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from dal_core.data.base import ImageDataset
from dal_core.learner.bayesian_cnn import BayesianCNNLearner
from dal_core.protocol.run_spec import RunSpec
from dal_core.training.device import choose_device
from tests import fast


@pytest.fixture(autouse=True)
def flags() -> Iterator[None]:
    """What choosing cuda sets in this process is put back."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic
    yield
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = before


def pretend(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, False, "cuda"), (False, True, "mps"), (False, False, "cpu"), (True, True, "cuda")],
)
def test_auto_takes_the_fastest_available_device(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
) -> None:
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device("auto") == torch.device(expected)
    assert choose_device("cpu") == torch.device("cpu")


def test_on_cuda_float32_is_float32_and_sums_have_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers, commands and stacked runs all choose their device here."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    pretend(monkeypatch, cuda=True, mps=False)
    choose_device("cpu")
    assert torch.backends.cudnn.allow_tf32
    choose_device("cuda")
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.deterministic


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_unavailable_device_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend(monkeypatch, cuda=False, mps=False)
    with pytest.raises(ValueError, match=f"device is '{name}', which this machine"):
        choose_device(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:0", "CPU"])
def test_an_unknown_name_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ValueError, match=f"device is {name!r}; allowed: auto, cpu, cuda, mps"):
        choose_device(name)


def test_naming_the_cpu_changes_no_bit(mnist5k: ImageDataset) -> None:
    spec = RunSpec(mnist5k.fingerprint, fast.protocol(weights="best"), "bald", 1)
    cpu = choose_device("cpu")
    learners = BayesianCNNLearner(spec, mnist5k), BayesianCNNLearner(spec, mnist5k, device=cpu)
    (one, query), (two, again) = (fast.steps(fast.Run(one), 1)[0] for one in learners)
    assert fast.measured(one) == fast.measured(two)
    assert (query.ranking, query.scores) == (again.ranking, again.scores)
