"""`python -m benchmarks.stacked`: stacked runs against single runs and against predictions.

It takes half a minute on one thread of a CPU and prints the tables of `gpu.md` as Markdown.
Predictions are for one H200. With `--device cuda` it also measures the epoch with and without the
CUDA graph. It then prints the largest differences between device and CPU, between graph and no
graph, and between two repetitions (the last two should be 0.0e+00).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import torch
from torch import Tensor

from benchmarks import stacked_counts as counts
from benchmarks.data import images_of
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.posterior.mc_dropout import McDropoutModel
from dal_core.posterior.stacked import passes_together
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import PRESETS
from dal_core.training.device import choose_device
from dal_core.training.loop import Training, train
from dal_core.training.memory import bound_memory
from dal_core.training.stacked.graph import GraphFailed
from dal_core.training.stacked.train import StackedSet, train_together

REPORT = PRESETS["report"]
GRAPH_EPOCHS = 30  # three warm-up epochs; the others replay the graph
VERSIONS = ("eager", "eager, fused optimiser", "graph")


@dataclass(frozen=True)
class Sets:
    """Images on the device, and the training and validation sets of R runs."""

    images: Tensor
    training: StackedSet
    validation: StackedSet


def main() -> None:
    """Predict, measure and print."""
    options = _options()
    device = choose_device(options.device)
    bound_memory()
    torch.set_num_threads(1)
    _predict()
    has_graphs = device.type == "cuda" and _can_capture(device)
    _measure_epochs(device, options.runs, options.sizes, options.epochs, has_graphs)
    _measure_passes(device, options.runs, options.images)
    if device.type != "cpu":
        _compare(device, has_graphs)


# -- predictions -------------------------------------------------------------------------------


def _predict() -> None:
    report, released = (counts.epoch(PRESETS[name]) for name in ("report", "released"))
    passes, plain = counts.passes(), counts.unfused_optimiser()
    print("| one epoch of `report` | kernels | GB moved | GFLOP | " + " | ".join(VERSIONS) + " |")
    print("|---|---|---|---|---|---|---|")
    for n_runs in (15, 150):
        for n in (20, 520, 1020):
            one = report.at(n, n_runs)
            cells = [f"{seconds * 1e3:.1f} ms" for seconds in _versions(one, plain)]
            moved = f"{one.kernels:.0f} | {one.bytes / 1e9:.1f} | {one.operations / 1e9:.0f}"
            print(f"| {n_runs} runs, {n} labels | {moved} | {' | '.join(cells)} |")
    print("\n| on one H200, predicted | " + " | ".join(VERSIONS) + " |\n|---|---|---|---|")
    for name, line in (("report", report), ("released", released)):
        for n_runs in (15, 150):
            sizes = [line.at(n, n_runs) for n in counts.STEPS]
            totals = zip(*(_versions(size, plain) for size in sizes), strict=True)
            cells = [f"{REPORT.n_epochs * sum(total):.0f} s" for total in totals]
            print(f"| `{name}`, {n_runs} runs x 101 steps, training | {' | '.join(cells)} |")
        batches = counts.FULL_DATA / counts.BATCH
        one = line.at(counts.BATCH, 3)
        each = _versions(one.times(batches, batches), plain * batches)
        cells = [f"{REPORT.n_epochs * seconds:.0f} s" for seconds in each]
        print(f"| `{name}`, three full-data bounds | {' | '.join(cells)} |")
    for n_runs in (15, 150):
        images = counts.TEST + counts.POOL * 4 / 5  # `random` scores nothing
        step = passes.at(500, n_runs).times(images / 500, images / 500)
        seconds = len(counts.STEPS) * step.seconds(counts.EAGER_LAUNCH)
        print(f"| passes, {n_runs} runs x 101 steps | {seconds:.0f} s | | |")
    print()


def _versions(one: counts.Count, plain: float) -> tuple[float, float, float]:
    """Seconds of each of VERSIONS.

    Args:
        one: the counts with the fused optimiser.
        plain: number of kernels that the fused optimiser saves.
    """
    unfused = one + counts.Count(plain, 0, 0)
    return (
        unfused.seconds(counts.EAGER_LAUNCH),
        one.seconds(counts.EAGER_LAUNCH),
        one.seconds(counts.GRAPH_LAUNCH),
    )


# -- measurements ------------------------------------------------------------------------------


def _can_capture(device: torch.device) -> bool:
    """Whether an epoch can be captured as a CUDA graph; prints the reason if not."""
    protocol = override(REPORT, {"n_epochs": GRAPH_EPOCHS})
    try:
        _train_together(_sets(3, 20, protocol.val_size, device), protocol, True)
    except GraphFailed as error:
        print(f"without CUDA graphs: {error}\n")
        return False
    return True


def _measure_epochs(
    device: torch.device,
    all_runs: Sequence[int],
    sizes: Sequence[int],
    n_epochs: int,
    has_graphs: bool,
) -> None:
    protocol = override(REPORT, {"n_epochs": n_epochs})
    versions = {"stacked": False} | ({"graph": True} if has_graphs else {})
    print(f"| an epoch on {device}, ms for all runs | one by one | {' | '.join(versions)} |")
    print("|---|---|" + "---|" * len(versions))
    for n_runs in all_runs:
        for n in sizes:
            sets = _sets(n_runs, n, protocol.val_size, device)
            single = _seconds(lambda s=sets: _one_by_one(s, protocol), device)  # type: ignore[misc]
            cells = [f"{single / n_epochs * 1e3:.1f}"]
            for with_graph in versions.values():
                seconds = _seconds(
                    lambda s=sets, g=with_graph: _train_together(s, protocol, g),  # type: ignore[misc]
                    device,
                )
                cells.append(f"{seconds / n_epochs * 1e3:.1f}")
            print(f"| {n_runs} runs, {n} labels | {' | '.join(cells)} |", flush=True)
    print()


def _measure_passes(device: torch.device, all_runs: Sequence[int], n_images: int) -> None:
    pixels, _ = images_of(n_images)
    images, n_passes = normalise(pixels).to(device), REPORT.num_mc_samples
    print(f"| {n_passes} passes over {n_images:,} images, s | one by one | stacked |")
    print("|---|---|---|")
    for n_runs in all_runs:
        models = _models(n_runs, device)
        ids = torch.arange(n_images, device=device).expand(n_runs, -1)

        def single(models: list[BayesianCNN] = models) -> None:
            for model in models:
                sampler = McDropoutModel(model, Training((), (), None, 0.0))
                list(sampler.sample_in_chunks(pixels, n_passes, seed=1))

        def all_at_once(models: list[BayesianCNN] = models, ids: Tensor = ids) -> None:
            for _ in passes_together(models, images, ids, n_passes, [1] * len(models)):
                pass

        cells = [f"{_seconds(work, device):.2f}" for work in (single, all_at_once)]
        print(f"| {n_runs} runs | {' | '.join(cells)} |", flush=True)


def _compare(device: torch.device, has_graphs: bool) -> None:
    """Print how 15 runs at 220 labels differ between devices, without a graph, and repeated."""
    fast, epochs = ("graph" if has_graphs else "device"), f"{GRAPH_EPOCHS} epochs"
    cpu = torch.device("cpu")

    def trained(on: torch.device, n_epochs: int, with_graph: bool) -> list[Training]:
        protocol = override(REPORT, {"n_epochs": n_epochs})
        return _train_together(_sets(15, 220, protocol.val_size, on), protocol, with_graph)

    print("\n| largest difference in nats | training loss | validation loss |\n|---|---|---|")
    _print_difference("device, CPU: one epoch", trained(device, 1, False), trained(cpu, 1, False))
    once, again = (trained(device, GRAPH_EPOCHS, has_graphs) for _ in range(2))
    if has_graphs:
        plain = trained(device, GRAPH_EPOCHS, False)
        _print_difference(f"graph, no graph: {epochs}", once, plain)
    _print_difference(f"{fast}, {fast} again: {epochs}", once, again)


def _print_difference(what: str, ones: Sequence[Training], others: Sequence[Training]) -> None:
    pairs = list(zip(ones, others, strict=True))
    training = max(
        abs(a - b) for x, y in pairs for a, b in zip(x.train_losses, y.train_losses, strict=True)
    )
    validation = max(
        abs((a or 0) - (b or 0))
        for x, y in pairs
        for a, b in zip(x.val_losses, y.val_losses, strict=True)
    )
    print(f"| {what} | {training:.1e} | {validation:.1e} |", flush=True)


def _train_together(sets: Sets, protocol: Protocol, with_graph: bool) -> list[Training]:
    n_runs = len(sets.training.ids)
    return train_together(
        _models(n_runs, sets.images.device),
        *(sets.images, sets.training, protocol, _seeds(n_runs), sets.validation),
        with_graph=with_graph,
    )


def _one_by_one(sets: Sets, protocol: Protocol) -> None:
    n_runs = len(sets.training.ids)
    for run, model in enumerate(_models(n_runs, sets.images.device)):
        given, held_out = (
            (sets.images[labelled.ids[run]], labelled.labels[run])
            for labelled in (sets.training, sets.validation)
        )
        generator = torch.Generator().manual_seed(_seeds(n_runs)[run])
        train(model, *given, protocol, generator, held_out)


def _sets(n_runs: int, n_images: int, n_validation: int, device: torch.device) -> Sets:
    """Random training and validation images of each run; equal arguments give equal sets."""
    pixels, labels = images_of(5000)
    generator = torch.Generator().manual_seed(1)
    size = n_runs, n_images + n_validation
    ids = torch.randint(0, len(pixels), size, generator=generator)
    targets = torch.from_numpy(labels)[ids].to(device)
    ids = ids.to(device)
    return Sets(
        normalise(pixels).to(device),
        StackedSet(ids[:, :n_images], targets[:, :n_images]),
        StackedSet(ids[:, n_images:], targets[:, n_images:]),
    )


def _models(n_runs: int, device: torch.device) -> list[BayesianCNN]:
    made = [build_model(REPORT.which_model, REPORT.dropout, seed) for seed in range(n_runs)]
    return [model.to(device) for model in made]


def _seeds(n_runs: int) -> list[int]:
    """The seed of each run: three different seeds, as in the report's experiment."""
    return [run % 3 for run in range(n_runs)]


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Clock seconds of one call, including the work it starts on the device."""
    if device.type == "cuda":
        work()  # warm-up, in which libraries initialise
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.stacked", description=__doc__)
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda")
    parser.add_argument("--runs", type=_numbers, default=[3, 15], metavar="R,R")
    parser.add_argument("--sizes", type=_numbers, default=[20, 220], metavar="N,N")
    parser.add_argument("--epochs", type=int, default=5, help="epochs measured; use more on a GPU")
    parser.add_argument("--images", type=int, default=1000, help="images scored; use 5000 on a GPU")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
