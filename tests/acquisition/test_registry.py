"""The registry of acquisition functions, and that all of dal takes functions from it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from streamlit.testing.v1 import AppTest

from dal_core.acquisition import registry
from dal_core.acquisition.batch import Candidates, Places, select
from dal_core.acquisition.registry import AcquisitionFunction
from dal_core.acquisition.top_k import rank, tie_order
from dal_core.cli import main
from dal_core.explain.parts import parts_of
from dal_core.protocol.parameters import ProtocolError
from dal_core.protocol.presets import preset, with_posterior
from dal_core.protocol.run_spec import RunSpec
from dal_core.record_file.io import read_record
from dal_core.record_file.schema import curves
from dal_core.results.crossings import by_function
from dal_core.results.tables import tables
from dal_core.results.titles import PALETTE, colour, display_name, in_order
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_ui.shared import runtime
from tests.ui_kit import InlineWorkers

APP = str(Path(__file__).resolve().parents[2] / "app.py")
NAMES = ("max_entropy", "bald", "variation_ratios", "variation_ratios_mean", "mean_std", "random")

shapes = st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(2, 10))
logits = shapes.flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-200, 200, width=32))
)


def least_likely(probs: torch.Tensor) -> torch.Tensor:
    """1 - min_c mean_t p_tc, [N]."""
    return 1 - probs.mean(0).amin(-1)


TOY = AcquisitionFunction(
    name="toy",
    title="Toy function",
    short_title="Toy",
    hint="asks where some class is out of the question",
    equation=r"1 - \min_c m_{n,c}",
    source="tests",
    record_name="toy_in_records",
    bounds=lambda n_classes, n_passes: (1 - 1 / n_classes, 1),
    needs="marginal",
    colour="sky",
    score=least_likely,
)


@pytest.fixture
def toy() -> Iterator[AcquisitionFunction]:
    registry.register(TOY)
    yield TOY
    registry.unregister("toy")


@pytest.fixture
def served(dal_home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store that the pages show, without worker processes."""
    store = open_store(dal_home)
    inline = InlineWorkers(store)
    monkeypatch.setattr(runtime, "store", lambda: store)
    monkeypatch.setattr(runtime, "workers", lambda: inline)
    return store


# -- every entry -------------------------------------------------------------------------------


def test_the_functions_are_those_of_the_report_random_last() -> None:
    assert tuple(name for name in registry.names() if name in NAMES) == NAMES
    assert registry.names()[-1] == "random"


@pytest.mark.parametrize("name", registry.names())
def test_an_entry_has_every_text_that_is_displayed(name: str) -> None:
    entry = registry.get(name)
    words = (entry.title, entry.short_title, entry.hint, entry.equation, entry.source)
    assert all(words)
    assert entry.record_name
    assert entry.colour in PALETTE
    assert len({registry.get(other).colour for other in NAMES}) == len(NAMES)


SCORED = [e.name for e in registry.functions() if e.scores_images or e.needs == "nothing"]


@pytest.mark.parametrize("name", [*SCORED, "toy"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(logits=logits)
def test_scores_stay_within_their_bounds_and_are_never_nan(name: str, logits: np.ndarray) -> None:
    entry = TOY if name == "toy" else registry.get(name)
    n_passes, n_images, n_classes = logits.shape
    if entry.needs == "nothing" and entry.score is not None:
        scores = entry.score(n_images, np.random.default_rng(0))
    else:
        scores = entry.scorer()(torch.softmax(torch.from_numpy(logits), -1)).numpy()
    low, high = entry.bounds(n_classes, n_passes)
    assert scores.shape == (n_images,)
    assert np.isfinite(scores).all()
    assert (scores >= low - 1e-5).all()
    assert (scores <= high + 1e-5).all()


def test_two_functions_cannot_share_a_name(toy: AcquisitionFunction) -> None:
    for other in (replace(toy, record_name="other"), replace(toy, name="other")):
        with pytest.raises(ValueError, match="is already registered"):
            registry.register(other)


def test_an_unknown_function_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="acquisition 'toy' is unknown; allowed: max_entropy, "):
        registry.get("toy")


# -- a batch -----------------------------------------------------------------------------------


def candidates(n: int, ties: str = "random") -> Candidates:
    generator = np.random.default_rng(3)
    probs = torch.softmax(torch.from_numpy(generator.normal(size=(8, n, 3))).float(), -1)
    probs[:, ::2] = probs[:, :1].clone()  # equal scores
    chunks = probs.split(7, dim=1)
    priority = tie_order(n, ties, np.random.default_rng(4))
    return Candidates(np.arange(n) + 100, priority, lambda: chunks, np.random.default_rng(5))


@pytest.mark.parametrize("ties", ["random", "first"])
@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_batch_is_the_head_of_the_ranking_with_its_scores(name: str, ties: str) -> None:
    there = candidates(30, ties)
    chunks = list(there.passes())
    batch, kept = select(registry.get(name), there, 12, n_passes_kept=4)
    scores = np.concatenate([registry.scorer(name)(chunk).numpy() for chunk in chunks])
    order = rank(scores, there.priority)[:12]
    assert batch.ids.tolist() == there.ids[order].tolist()
    assert batch.gains.tolist() == scores[order].tolist()
    assert kept is not None
    assert torch.equal(kept, torch.cat(chunks, dim=1)[:, torch.from_numpy(order[:4])])


def test_random_reads_no_passes() -> None:
    def none() -> Iterator[torch.Tensor]:
        raise AssertionError("a forward pass was made")

    batch, kept = select(
        registry.get("random"), replace(candidates(30), passes=none), 50, n_passes_kept=4
    )
    assert kept is None
    assert sorted(batch.ids) == list(range(100, 130))
    assert (np.diff(batch.gains) <= 0).all()


def test_a_function_that_chooses_a_batch_as_a_whole_is_refused_by_a_selection_of_single_images(
    toy: AcquisitionFunction,
) -> None:
    with pytest.raises(ValueError, match="'toy' does not score probabilities"):
        select(replace(toy, needs="joint"), candidates(5), 2, n_passes_kept=2)


BATCHES = [entry.name for entry in registry.functions() if entry.choose is not None]


def surroundings(n: int) -> Candidates:
    """Candidates with all that any function may ask about them."""
    there = candidates(n)
    draws = np.random.default_rng(8)
    places = Places(
        torch.from_numpy(draws.normal(size=(n, 4)).astype(np.float32)),
        torch.from_numpy(draws.normal(size=(3, 4)).astype(np.float32)),
    )
    whole = torch.cat(list(there.passes()), dim=1)
    return replace(
        there,
        joint=lambda positions, k: whole[:k, torch.from_numpy(positions)],
        pixels=lambda: places,
        features=lambda: places,
        n_samples=8,
        batch_size=4,
    )


@pytest.mark.parametrize("n, size", [(30, 12), (30, 100), (2, 10), (1, 10)])
@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_chosen_as_a_whole_has_distinct_images_with_gains(
    name: str, n: int, size: int
) -> None:
    batch, kept = select(registry.get(name), surroundings(n), size, n_passes_kept=4)
    assert len(batch.ids) == len(set(batch.ids.tolist())) == min(n, size)
    assert set(batch.ids.tolist()) <= set(range(100, 100 + n))
    assert np.isfinite(batch.gains).all()
    if kept is not None:
        probs = torch.cat(list(surroundings(n).passes()), dim=1)
        assert torch.equal(kept, probs[:, torch.from_numpy(batch.ids[:4] - 100)])


@pytest.mark.parametrize("name", registry.names())
def test_a_batch_is_the_head_of_a_longer_order_so_that_a_skip_takes_the_next_of_it(
    name: str,
) -> None:
    batch, _ = select(registry.get(name), surroundings(30), 4, n_passes_kept=4)
    longer, _ = select(registry.get(name), surroundings(30), 20, n_passes_kept=4)
    assert longer.ids[:4].tolist() == batch.ids.tolist()
    assert longer.gains[:4].tolist() == batch.gains.tolist()


@pytest.mark.parametrize("name", [name for name in BATCHES if not registry.get(name).prefix])
def test_an_order_without_prefix_property_is_chosen_batch_after_batch(
    name: str,
) -> None:
    entry, there = registry.get(name), surroundings(30)
    assert entry.choose is not None
    first = entry.choose(there, 4)
    second = entry.choose(there.without(first.positions), 4)
    order, _ = select(entry, surroundings(30), 20, n_passes_kept=8)
    assert order.ids[:8].tolist() == [*first.ids, *second.ids]


@pytest.mark.parametrize("name", registry.names())
def test_what_is_asked_already_is_never_chosen_and_the_passes_stay_with_their_images(
    name: str,
) -> None:
    left = surroundings(30).without(np.arange(0, 30, 3)).without([0, 1])
    batch, kept = select(registry.get(name), left, 12, n_passes_kept=5)
    assert len(set(batch.ids.tolist())) == 12
    assert not {*range(100, 130, 3), 101, 102}.intersection(batch.ids.tolist())
    if kept is not None:
        probs = torch.cat(list(surroundings(30).passes()), dim=1)
        assert torch.equal(kept, probs[:, torch.from_numpy(batch.ids[:5] - 100)])


@pytest.mark.parametrize("name", ["bald_coverage", "entropy_coverage", "batchbald", "coreset"])
def test_no_copy_of_an_image_that_is_asked_already_is_chosen(name: str) -> None:
    draws = np.random.default_rng(8)
    single = torch.from_numpy(draws.normal(size=(10, 4)).astype(np.float32))
    points = torch.cat([20 * single, 20 * single])
    logits = torch.from_numpy(draws.normal(scale=30, size=(8, 10, 3)).astype(np.float32))
    probs = torch.softmax(torch.cat([logits, logits], dim=1), -1)
    twins = replace(
        surroundings(20),
        passes=lambda: [probs],
        joint=lambda positions, k: probs[:k, torch.from_numpy(positions)],
        pixels=lambda: Places(points, points[:0]),
        features=lambda: Places(points, points[:0]),
    )
    asked = select(registry.get(name), twins, 2, n_passes_kept=2)[0].positions
    batch, _ = select(registry.get(name), twins.without(asked), 1, n_passes_kept=1)
    assert not {n % 10 for n in asked.tolist()}.intersection(n % 10 for n in batch.ids - 100)


@pytest.mark.parametrize("name", BATCHES)
def test_a_choice_is_the_same_for_the_same_random_numbers(name: str) -> None:
    one, other = (
        select(registry.get(name), surroundings(30), 10, n_passes_kept=4)[0] for _ in range(2)
    )
    assert one.ids.tolist() == other.ids.tolist()
    assert one.gains.tolist() == other.gains.tolist()


def test_a_choice_without_what_it_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="come without what the function chooses by"):
        select(registry.get("coreset"), candidates(5), 2, n_passes_kept=2)


@pytest.mark.parametrize("name", registry.names())
def test_what_scores_disagreement_is_refused_with_one_network(name: str) -> None:
    entry = registry.get(name)
    protocol = with_posterior(preset("quick"), "deterministic")
    assert protocol.num_mc_samples == 1
    if not entry.needs_disagreement:
        assert RunSpec("f", protocol, name, 1).acquisition == name
        return
    with pytest.raises(
        ProtocolError, match="a deterministic network has one; allowed: max_entropy"
    ):
        RunSpec("f", protocol, name, 1)


# -- a toy function, registered in this file ---------------------------------------------------


def test_a_toy_function_runs_and_appears_in_the_record_and_the_tables(
    toy: AcquisitionFunction, dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", "n_epochs=2", "--set", "n_acquisition_steps=2"]
    options += ["--set", "num_mc_samples=2", "--home", str(dal_home)]
    assert main(["run", "--acquisition", "toy", *options]) == 0
    (run,) = open_store(dal_home).runs()
    assert run.spec.acquisition == "toy"
    path = dal_home / run.run_id / "record.yaml"
    assert "toy_in_records" in path.read_text()
    runs = curves(read_record(path))
    assert list(by_function(runs)) == ["toy"]
    assert [row.acquisition for row in tables(runs)[0].rows] == ["toy"]
    assert (display_name("toy"), display_name("toy", short=True)) == ("Toy function", "Toy")
    assert colour("toy") == PALETTE["sky"]
    assert in_order(["random", "toy", "x", "bald"]) == ["bald", "toy", "random", "x"]


def test_error_messages_list_a_toy_function_as_allowed(
    toy: AcquisitionFunction, dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--acquisition", "tox", "--home", str(dal_home)]) == 2
    message = capsys.readouterr().err
    assert (
        "allowed: max_entropy, bald, variation_ratios, variation_ratios_mean, mean_std" in message
    )
    assert ", toy" in message


def test_a_toy_function_can_be_chosen_on_the_start_form(
    toy: AcquisitionFunction, served: Store
) -> None:
    page = AppTest.from_file(APP, default_timeout=60).run()
    page.radio(key="way").set_value("All ways").run()
    box = page.selectbox(key="function-All ways")
    assert [text for text in box.options if text.startswith("Toy function · ")]
    box.set_value("toy").run()
    assert any("asks where some class is out of the question" in one.value for one in page.caption)


def test_the_label_and_explain_pages_show_a_run_of_a_toy_function(
    toy: AcquisitionFunction, served: Store
) -> None:
    sizes = ["n_epochs=2", "n_acquisition_steps=1", "num_mc_samples=2", "pool_subset_size=100"]
    options = [text for size in sizes for text in ("--set", size)]
    assert main(["run", "--acquisition", "toy", *options, "--home", str(served.home)]) == 0
    (run,) = served.runs()
    page = AppTest.from_file(APP, default_timeout=60)
    page.query_params["run"] = run.run_id
    page.run()
    assert not page.exception
    page.switch_page("pages/explain.py")
    page.query_params["run"] = run.run_id
    page.session_state["explain-view"] = "One image"
    page.run()
    assert not page.exception
    assert any(toy.title in text.value and toy.source in text.value for text in page.markdown)
    assert toy.equation in [text.value.strip("$\n") for text in page.latex]
    page.session_state["explain-view"] = "All functions, one model"
    page.run()
    assert not page.exception


def test_a_toy_function_scores_a_single_image(toy: AcquisitionFunction) -> None:
    parts = parts_of(torch.tensor([[0.5, 0.25, 0.25], [0.7, 0.2, 0.1]]))
    assert parts.scores["toy"] == pytest.approx(1 - 0.175)


def test_an_unregistered_function_is_unknown() -> None:
    with pytest.raises(ProtocolError, match="acquisition is 'toy'; allowed: max_entropy"):
        RunSpec("f", preset("quick"), "toy", 1)


def test_names_are_known_without_torch_and_numpy() -> None:
    code = (
        "import sys; from dal_core.acquisition import registry; assert registry.names(); "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
