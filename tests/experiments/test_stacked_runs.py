"""An experiment of stacked runs has the log of workers, also after a kill, pause or failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from dal_core.cli import main
from dal_core.cli.errors import WrongUse
from dal_core.cli.reproduce import _is_stacked
from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control, stacked_runs
from dal_core.experiments.stacked_member import Member
from dal_core.experiments.stacked_runs import StackedWorkbench, conduct
from dal_core.experiments.status import ExperimentStatus, status
from dal_core.protocol.run_spec import FULL_DATA
from dal_core.run.events import StepResult
from dal_core.run.next_task import next_task
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.store.run_lock import is_locked, run_lock
from dal_core.training.stacked import capacity
from dal_core.training.stacked.capacity import in_groups
from dal_core.training.stacked.graph import GraphFailed
from tests.experiment_kit import FAST, measures, numbers, protocol, until
from tests.store_kit import ROOT

CPU = torch.device("cpu")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(stacked_runs, "POLL_SECONDS", 0)
    monkeypatch.setattr(stacked_runs, "LOOK_SECONDS", 0)
    monkeypatch.setattr(stacked_runs, "SHOW_SECONDS", 0)
    return open_store(tmp_path)


def create(
    store: Store,
    dataset: ImageDataset,
    acquisitions: tuple[str, ...] = ("bald", "variation_ratios", "random"),
    seeds: tuple[int, ...] = (1, 2),
    full_data: bool = False,
    **changes: Any,
) -> str:
    made = control.create_experiment(
        *(store, dataset, protocol(**{"weights": "best", **changes}), acquisitions, seeds),
        full_data=full_data,
    )
    return made.experiment_id


def work(
    store: Store, experiment_id: str, show: Callable[[ExperimentStatus], None] = lambda _: None
) -> None:
    conduct(store, experiment_id, CPU, show)


def run_ids(store: Store, experiment_id: str) -> list[str]:
    return [run.run_id for run in store.experiments.runs(experiment_id)]


def all_measures(store: Store, experiment_id: str) -> list[list[tuple[Any, ...]]]:
    return [measures(store, run_id) for run_id in run_ids(store, experiment_id)]


Measures = list[list[tuple[Any, ...]]]


def assert_alike(ones: Measures, others: Measures, rel: float = 1e-4, images: int = 0) -> None:
    """Equal but for rounding: a batch of fewer models may add in another order.

    Other kernels round otherwise, and over a training that grows: then `rel` is more, and the
    class of so many of the 100 test `images` may change.
    """
    assert [len(steps) for steps in ones] == [len(steps) for steps in others]
    for mine, theirs in zip(ones, others, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert one[0] == other[0]
            assert one[1] == pytest.approx(other[1], abs=images / 100 + 1e-9)
            assert one[2:] == pytest.approx(other[2:], rel=rel)


def test_the_log_is_that_of_workers(store: Store, mnist5k: ImageDataset, tmp_path: Path) -> None:
    # At the learning rate of `quick` the five mini-batches an epoch of the bound turn a difference
    # in rounding into half a percent of the mutual information on some processors.
    settings: dict[str, Any] = {"full_data": True, "seeds": (1,), "learning_rate": 0.0005}
    experiment_id = create(store, mnist5k, **settings)
    work(store, experiment_id)
    elsewhere = open_store(tmp_path / "elsewhere")
    other_id = create(elsewhere, mnist5k, **settings)
    bench = Workbench(elsewhere)
    for run_id in run_ids(elsewhere, other_id):
        list(advance(bench, run_id))
    mine, theirs = all_measures(store, experiment_id), all_measures(elsewhere, other_id)
    for run_id, other_run, one, other in zip(
        *(run_ids(store, experiment_id), run_ids(elsewhere, other_id), mine, theirs), strict=True
    ):
        spec = store.run(run_id).spec
        assert [step[0] for step in one] == [step[0] for step in other]
        if spec.acquisition in ("random", FULL_DATA):  # what is asked depends on no rounding
            assert_alike([one], [other], rel=5e-3, images=2)
            continue
        assert_alike([one[:1]], [other[:1]], rel=1e-3, images=1)
        log, wanted = store.log(run_id), elsewhere.log(other_run)
        first, expected = (
            one_log.queries[one_log.submissions[0].query_id] for one_log in (log, wanted)
        )
        assert first.scores == pytest.approx(expected.scores, abs=1e-4)
        probs, same = store.shown_probs(first.query_id), elsewhere.shown_probs(expected.query_id)
        assert probs is not None and same is not None and probs.shape == same.shape
        assert (log.steps[0].best_epoch, next_task(log).has_work) == (
            wanted.steps[0].best_epoch,
            False,
        )
        assert (store.run_dir(run_id) / "weights.safetensors").is_file()
    record = store.home / "experiments" / experiment_id / "record.yaml"
    assert len(numbers(record)["mutual_information"][0][0]) == 3


def test_nothing_is_trained_or_passed_singly(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("network.train", "mc_dropout.stochastic_passes"):
        message = f"{name} was called"
        monkeypatch.setattr(
            f"dal_core.posterior.{name}",
            lambda *_, message=message, **__: pytest.fail(message),
        )
    experiment_id = create(store, mnist5k)
    work(store, experiment_id)
    assert status(store, experiment_id).is_complete


class Killed(BaseException):
    """Ends the work anywhere, as Ctrl-C does."""


def killed_at(number: int) -> Callable[[ExperimentStatus], None]:
    calls = iter(range(1, 10_000))

    def show(_: ExperimentStatus) -> None:
        if next(calls) == number:
            raise Killed

    return show


def test_it_goes_on_after_a_kill_anywhere_with_the_same_numbers(
    store: Store, mnist5k: ImageDataset, tmp_path: Path
) -> None:
    undisturbed = create(store, mnist5k)
    work(store, undisturbed)
    other = open_store(tmp_path / "other")
    experiment_id = create(other, mnist5k)
    # Ticks: two epochs, six runs, and the look at the whole: killed in fits and between runs.
    for number in (2, 5, 4, 11, 3):
        with pytest.raises(Killed):
            work(other, experiment_id, killed_at(number))
        assert not any(is_locked(other.home, run_id) for run_id in run_ids(other, experiment_id))
    done = [len(steps) for steps in all_measures(other, experiment_id)]
    assert 0 < sum(done) < 18 and len(set(done)) > 1, "the test needs runs at different steps"
    work(other, experiment_id)
    assert_alike(all_measures(other, experiment_id), all_measures(store, undisturbed))


def test_paused_it_gives_up_the_fit_in_hand_and_ends(store: Store, mnist5k: ImageDataset) -> None:
    experiment_id = create(store, mnist5k, n_epochs=100_000)
    seen = list[ExperimentStatus]()

    def show(now: ExperimentStatus) -> None:
        seen.append(now)
        if len(seen) == 3:
            control.pause(store, experiment_id)

    work(store, experiment_id, show)
    now = status(store, experiment_id)
    assert now.is_paused and now.n_done == 0
    training = [run.progress for run in seen[-2].runs if run.progress]
    assert training and all(one.part == "train" and one.epoch for one in training)
    assert [run.progress and run.progress.part for run in now.runs] == ["idle"] * 6


@pytest.mark.parametrize("how", ["one of them is paused", "all are killed"])
def test_no_run_that_was_given_up_is_left_as_if_it_were_trained(
    store: Store, mnist5k: ImageDataset, how: str
) -> None:
    experiment_id = create(store, mnist5k, seeds=(1,), n_epochs=10)
    first, *_ = run_ids(store, experiment_id)

    def parts() -> list[str | None]:
        rows = (store.progress(run_id) for run_id in run_ids(store, experiment_id))
        return [row.part if row else None for row in rows]

    def show(_: ExperimentStatus) -> None:
        if parts() == ["train"] * 3:
            if how == "all are killed":
                raise Killed
            store.set_directives(first, paused=True)

    with pytest.raises(Killed) if how == "all are killed" else nullcontext():
        work(store, experiment_id, show)
    assert parts() == ["idle"] * 3


def test_one_run_paused_leaves_the_others_their_fit(store: Store, mnist5k: ImageDataset) -> None:
    experiment_id = create(store, mnist5k, seeds=(1,))
    paused, *others = run_ids(store, experiment_id)
    calls = iter(range(100))

    def show(_: ExperimentStatus) -> None:
        if next(calls) == 1:
            store.set_directives(paused, paused=True)

    work(store, experiment_id, show)
    assert [len(store.log(run_id).steps) for run_id in (paused, *others)] == [0, 3, 3]
    store.set_directives(paused, paused=False)
    work(store, experiment_id)
    assert status(store, experiment_id).is_complete


@pytest.mark.filterwarnings("ignore:.*has to be fitted again")
def test_a_run_that_fails_is_marked_and_the_others_go_on(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id = create(store, mnist5k, seeds=(1,))
    broken, *others = run_ids(store, experiment_id)
    fails = store.run(broken).spec.key
    evaluate = Member.evaluate

    def failing(member: Member, *arguments: Any) -> StepResult:
        if member.spec.key == fails:
            raise IsADirectoryError("no place for it")
        return evaluate(member, *arguments)

    monkeypatch.setattr(Member, "evaluate", failing)
    work(store, experiment_id)
    now = status(store, experiment_id)
    (failed,) = now.failures
    assert failed.log.run.run_id == broken and "IsADirectoryError" in (failed.failure or "")
    assert [len(store.log(run_id).steps) for run_id in others] == [3, 3]
    log = store.home / "experiments" / experiment_id / "workers.log"
    assert "Traceback" in log.read_text()


def test_a_failing_fit_fails_the_runs_in_it_once(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(stacked_runs, "train_together", broken)
    experiment_id = create(store, mnist5k, seeds=(1,))
    work(store, experiment_id)
    now = status(store, experiment_id)
    assert [run.failure for run in now.runs] == ["RuntimeError: no such kernel"] * 3


def test_after_a_failed_graph_there_are_no_more_graphs(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = list[bool]()
    whole = stacked_runs.train_together

    def failing(*arguments: Any, with_graph: bool = True) -> Any:
        asked.append(with_graph)
        if with_graph:
            raise GraphFailed("an epoch could not be captured: no such luck")
        return whole(*arguments)

    monkeypatch.setattr(stacked_runs, "train_together", failing)
    experiment_id = create(store, mnist5k, seeds=(1,))
    with pytest.warns(UserWarning, match="without CUDA graphs, slower: .* no such luck"):
        work(store, experiment_id)
    assert asked == [True, False, False, False]
    assert status(store, experiment_id).is_complete


def test_when_memory_is_short_the_groups_are_smaller(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes = list[int]()
    whole = stacked_runs.train_together

    def short(models: Any, *arguments: Any) -> Any:
        sizes.append(len(models))
        if len(models) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return whole(models, *arguments)

    monkeypatch.setattr(stacked_runs, "train_together", short)
    experiment_id = create(store, mnist5k, n_acquisition_steps=1)
    work(store, experiment_id)
    assert sizes[:5] == [6, 3, 2, 2, 2]
    monkeypatch.setattr(stacked_runs, "train_together", whole)
    other = open_store(tmp_path / "other")
    undisturbed = create(other, mnist5k, n_acquisition_steps=1)
    work(other, undisturbed)
    assert_alike(all_measures(store, experiment_id), all_measures(other, undisturbed))


def test_a_group_is_no_larger_than_the_memory_expected_for_it(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = list[int]()
    whole = stacked_runs.train_together

    def watched(models: Any, *arguments: Any) -> Any:
        sizes.append(len(models))
        return whole(models, *arguments)

    monkeypatch.setattr(stacked_runs, "train_together", watched)
    monkeypatch.setattr(capacity, "memory_of_a_run", lambda *_: 300)
    monkeypatch.setattr(stacked_runs, "free_memory", lambda _: 1600)
    work(store, create(store, mnist5k, n_acquisition_steps=0))
    assert sizes == [4, 2]


def test_not_enough_memory_for_a_single_run_is_an_error() -> None:
    asked = list[int]()

    def work(group: list[int]) -> None:
        asked.append(len(group))
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        in_groups(work, [1, 2, 3], 3)
    assert asked == [3, 2, 1]


def test_a_run_that_somebody_else_works_on_is_left_to_them(
    store: Store, mnist5k: ImageDataset, tmp_path: Path
) -> None:
    experiment_id = create(store, mnist5k, seeds=(1,))
    busy, *others = run_ids(store, experiment_id)
    together = StackedWorkbench(store, CPU, lambda: None, tmp_path / "log")
    with run_lock(store.home, busy):
        while together.advance(status(store, experiment_id).runs):
            pass
        assert [len(store.log(run_id).steps) for run_id in (busy, *others)] == [0, 3, 3]
    while status(store, experiment_id).has_work:
        assert together.advance(status(store, experiment_id).runs)
    assert len(store.log(busy).steps) == 3


SETTINGS = [f"--set={key}={value}" for key, value in {**FAST, "n_epochs": 60}.items()]
WANTED = [
    *("reproduce", "--protocol", "quick", "--acquisitions", "bald,random", "--seeds", "1"),
    *("--no-full-data", "--lockstep", "--json", *SETTINGS),
]


def test_a_killed_command_is_resumed_to_the_same_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WANTED, "--home", str(tmp_path / "whole")]) == 0
    whole = json.loads(capsys.readouterr().out.splitlines()[-1])
    home = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "dal_core.cli", *WANTED, "--home", str(home)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stderr is not None
    assert any("20 labels" in line for line in process.stderr)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = open_store(home)
    (row,) = store.experiments.all()
    until(lambda: not any(is_locked(home, run) for run in run_ids(store, row.experiment_id)))
    assert status(store, row.experiment_id).n_done < 6
    assert (
        main(["reproduce", "--resume", "quick", "--lockstep", "--json", "--home", str(home)]) == 0
    )
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    mine, theirs = numbers(Path(said["record"])), numbers(Path(whole["record"]))
    assert mine.keys() == theirs.keys()
    for name in ("mutual_information", "random"):
        for one, other in zip(mine[name], theirs[name], strict=True):
            assert one[0] == pytest.approx(other[0], rel=1e-4)


def test_stacked_runs_are_the_default_on_cuda_alone() -> None:
    assert _is_stacked(None, "cuda", None)
    assert not _is_stacked(False, "cuda", "2")
    assert _is_stacked(True, "cpu", None)
    assert not _is_stacked(None, "cuda", "2", "mc_dropconnect")
    assert not _is_stacked(None, "cpu", "2") and not _is_stacked(None, "mps", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((True, "cpu", "2"), "--workers is '2' but --lockstep uses one process"),
        ((None, "cuda", "2"), "--workers is '2' but --lockstep uses one process"),
        ((True, "mps", None), "--lockstep with --device mps; allowed: cpu, cuda"),
        (
            (True, "cpu", None, "ensemble"),
            "--lockstep with posterior ensemble, whose runs are trained one by one; allowed: mc",
        ),
    ],
)
def test_options_that_exclude_stacked_runs_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(WrongUse, match=message):
        _is_stacked(*arguments)
