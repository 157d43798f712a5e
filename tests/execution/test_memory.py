"""What computes keeps no compiled operation of oneDNN: a worker's memory does not grow by steps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dal_core.cli import refit, reproduce, run
from dal_core.execution.pool import Workers
from dal_core.training import memory
from dal_core.training.memory import NO_PRIMITIVES
from tests import experiment_kit
from tests.worker_memory import Sample, slope, watch


def test_a_worker_starts_without_the_cache_of_primitives(tmp_path: Path) -> None:
    pool = Workers(tmp_path)
    try:
        pool.warm_up()
        process = pool._interactive.process
        assert process is not None
        started_with = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    finally:
        pool.close()
    assert {f"{name}={value}".encode() for name, value in NO_PRIMITIVES.items()} <= set(
        started_with
    )


class Bounded(Exception):
    """Memory was bounded, before anything was computed."""


@pytest.mark.parametrize("work", [run._advance, refit._work, reproduce._work_stacked])
def test_a_command_that_trains_in_its_own_process_bounds_its_memory_first(
    work: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bound() -> None:
        raise Bounded

    monkeypatch.setattr(memory, "bound_memory", bound)
    with pytest.raises(Bounded):
        work(None, "a-run", "cpu")


def test_bounding_memory_switches_the_cache_of_primitives_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (name,) = NO_PRIMITIVES
    monkeypatch.setenv(name, "1024")
    monkeypatch.setattr(memory, "keep_freed_memory", lambda: None)
    memory.bound_memory()
    assert os.environ[name] == "0"


def test_the_slope_is_that_of_the_second_half() -> None:
    megabytes = [100, 300, 300, 302, 304, 306]
    samples = [Sample(step, one, 9, 2) for step, one in enumerate(megabytes)]
    assert slope(samples) == pytest.approx(2)


@pytest.mark.slow
def test_a_worker_takes_no_more_memory_handles_or_threads_after_300_steps(tmp_path: Path) -> None:
    protocol = experiment_kit.protocol(n_acquisition_steps=300, n_samples_to_acquire=1)
    samples = watch(tmp_path, protocol)
    assert samples[-1].n_steps == 301
    assert slope(samples) < 0.2  # with the cache it is 2
    assert samples[-1].megabytes < samples[len(samples) // 2].megabytes + 30
    assert samples[-1].handles <= samples[5].handles + 2
    assert samples[-1].threads <= samples[5].threads + 1
