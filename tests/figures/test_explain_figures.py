"""The explaining page's charts: the numbers behind them, and that Vega-Lite can draw them."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import vl_convert
from PIL import Image

from dal_core.data.base import ImageDataset
from dal_core.explain.information import Information
from dal_core.explain.parts import Parts, parts_of
from dal_core.explain.uncovered import Uncovered
from dal_core.figures.batches import askers, batches_data, batches_figure
from dal_core.figures.choices import (
    balance_data,
    balance_figure,
    correlation_data,
    correlation_figure,
)
from dal_core.figures.classes import Classes
from dal_core.figures.coverage_map import coverage_map_spec, covered_data, covered_figure
from dal_core.figures.information import JOINT, information_data, information_figure
from dal_core.figures.passes import passes_data, passes_spec, settling_data, settling_spec
from dal_core.figures.png import thumbnail
from dal_core.figures.pool_map import ASKED, CLASS, pool_map_spec
from dal_core.figures.score_breakdown import breakdown_data, breakdown_spec
from dal_core.figures.score_histograms import histograms_data, histograms_spec
from dal_core.figures.spec import filled

LINES = {"bald": np.array([0.0, 0.2, 0.1]), "max_entropy": np.array([0.5, 0.6, 0.55])}
DIGITS = Classes(tuple("0123456789"), "digit")
THREE = Classes(("stop", "yield", "go"), "sign")
POOL = {"bald": np.array([0.0, 0.1, 0.4]), "random": np.array([0.2, 0.9, 0.5])}


@pytest.fixture(scope="module")
def parts() -> Parts:
    logits = torch.randn(7, 10, generator=torch.Generator().manual_seed(3))
    return parts_of(torch.softmax(2 * logits, -1))


def drawn(spec: dict[str, Any]) -> str:
    """The chart as SVG, its tables as lists of rows; fails where the form is no Vega-Lite."""
    if "datasets" in spec and all(isinstance(t, pd.DataFrame) for t in spec["datasets"].values()):
        tables = {
            name: [{k: None if pd.isna(v) else v for k, v in row.items()} for row in rows]
            for name, rows in (
                (name, table.astype(object).to_dict("records"))
                for name, table in spec["datasets"].items()
            )
        }
        spec = {**spec, "datasets": tables}
    return str(vl_convert.vegalite_to_svg(spec))


# -- one image ---------------------------------------------------------------------------------


def test_the_matrix_has_a_cell_per_pass_and_class_and_a_dot_per_vote(parts: Parts) -> None:
    matrix, rows, mean = passes_data(parts, DIGITS)
    assert len(matrix) == 70
    cell = matrix[(matrix["pass"] == 3) & (matrix["class"] == "4")]
    assert cell.p.item() == pytest.approx(parts.probs[2, 4])
    votes = matrix[matrix["dot"] > 0]
    assert votes["class"].tolist() == [str(n) for n in parts.probs.argmax(-1)]
    assert rows.entropy.tolist() == pytest.approx(parts.entropies.tolist())
    assert mean.p.tolist() == pytest.approx(parts.mean.tolist())


def test_the_bars_of_the_sums_end_where_the_scores_are(parts: Parts) -> None:
    entropies, votes, spreads = breakdown_data(parts, DIGITS)
    ends = entropies.groupby("row").end.max()
    assert ends["entropy of mean"] == pytest.approx(parts.scores["max_entropy"], abs=1e-6)
    assert ends["mean entropy"] == pytest.approx(parts.mean_of_entropies)
    (difference,) = entropies[entropies.row == "difference"].to_dict("records")
    size = difference["end"] - difference["start"]
    assert size == pytest.approx(parts.scores["bald"], abs=1e-6)
    first = votes.iloc[0]
    assert 1 - first.end / 7 == pytest.approx(parts.scores["variation_ratios"])
    assert votes.end.max() == 7
    assert spreads.spread.mean() == pytest.approx(parts.scores["mean_std"], abs=1e-6)


def test_bars_have_no_gap(parts: Parts) -> None:
    entropies, _, _ = breakdown_data(parts, DIGITS)
    bar = entropies[entropies.row == "entropy of mean"]
    assert bar.start.iloc[0] == 0
    assert bar.start.iloc[1:].tolist() == bar.end.iloc[:-1].tolist()
    assert (bar.end <= math.log(10) + 1e-5).all()


def test_histograms_count_every_pool_image() -> None:
    bins = histograms_data(POOL)
    assert bins.groupby("function").images.sum().to_dict() == {"bald": 3, "random": 3}
    assert bins[bins.function == "bald"].high.max() == pytest.approx(0.4)


def test_a_pool_of_equal_scores_has_a_histogram() -> None:
    assert histograms_data({"bald": np.zeros(5)}).images.sum() == 5


def test_lines_count_passes_from_one() -> None:
    data = settling_data(LINES)
    assert data[data.function == "BALD"].passes.tolist() == [1, 2, 3]


def test_the_charts_of_one_image_can_be_drawn(parts: Parts) -> None:
    assert "pass" in drawn(passes_spec(parts, DIGITS))
    assert "entropy of mean" in drawn(breakdown_spec(parts, DIGITS))
    assert "BALD" in drawn(settling_spec(LINES, 2))
    assert "Random" in drawn(histograms_spec(histograms_data(POOL), {"bald": 0.7, "random": 0.1}))


def test_the_form_of_a_chart_is_the_same_for_all_numbers(parts: Parts) -> None:
    other = parts_of(torch.full((12, 10), 0.1))
    for spec in (passes_spec, breakdown_spec):
        one, two = ({**spec(p, DIGITS), "datasets": None} for p in (parts, other))
        assert one == two


def test_filling_a_form_leaves_it_as_it_is() -> None:
    form: dict[str, Any] = {"mark": {"type": "bar"}}
    spec = filled(form, {"a": pd.DataFrame({"x": [1]})})
    spec["mark"]["type"] = "line"
    assert form == {"mark": {"type": "bar"}}


# -- several functions -------------------------------------------------------------------------


def test_askers_are_counted_in_the_order_of_the_functions() -> None:
    found = askers({"a": (1, 2, 3), "b": (3, 2, 9), "c": (7, 8, 6)})
    assert (found[3], found[7]) == (("a", "b"), ("c",))


def test_a_ten_knows_who_else_asks(mnist5k: ImageDataset) -> None:
    chosen = {"bald": (5, 9), "mean_std": (9, 700), "random": (1, 2)}
    gains = {"bald": (0.71234, 0.5), "mean_std": (1234.5, 0.1), "random": (1.0, 0.99)}
    data = batches_data(mnist5k, chosen, gains)
    nine = data[data.image_id == 9]
    assert nine.n_askers.tolist() == [2, 2]
    assert nine.askers.iloc[0] == "BALD, Mean std"
    assert nine.place.tolist() == [2, 1]
    assert data["class"].tolist() == [str(mnist5k.labels[i]) for i in data.image_id]
    assert data.gain.tolist() == ["0.712", "0.5", "1,234", "0.1", "1", "0.99"]
    picture = drawn(batches_figure(mnist5k, chosen, gains).to_dict())
    assert picture.count("<image ") == 6 and "0.712" in picture


def test_a_row_of_one_group_knows_who_asks_in_the_others(mnist5k: ImageDataset) -> None:
    asked_by = askers({"bald": (5, 9), "random": (9, 2)})
    data = batches_data(mnist5k, {"random": (9, 2)}, {"random": (0.9, 0.8)}, asked_by)
    assert data.n_askers.tolist() == [2, 1] and data.askers.iloc[0] == "BALD, Random"


def test_a_rounded_correlation_has_no_minus_zero_and_none_is_a_dash() -> None:
    table = pd.DataFrame(
        [[1.0, -0.001], [float("nan"), 1.0]], index=["bald", "random"], columns=["bald", "random"]
    )
    assert correlation_data(table).text.tolist() == ["1.00", "0.00", "–", "1.00"]
    assert "BALD" in drawn(correlation_figure(table).to_dict())


def test_the_balance_shows_a_row_per_function() -> None:
    counts = {"bald": np.array([2, 0, 1]), "random": np.array([1, 1, 1])}
    assert balance_data(counts, THREE).images.tolist() == [2, 0, 1, 1, 1, 1]
    assert "BALD" in drawn(balance_figure(counts, THREE).properties(width=200).to_dict())


# -- joint information and coverage ------------------------------------------------------------


def test_the_information_of_a_batch_is_drawn_below_its_bound() -> None:
    found = {
        "bald": Information((0.0, 0.7, 1.1), (0.0, 0.7, 1.4), 8),
        "batchbald": Information((0.0, 0.7, 1.3), (0.0, 0.7, 1.35), 8),
    }
    data = information_data(found)
    assert len(data) == 12
    assert data[(data.function == "BatchBALD") & (data.kind == JOINT)].nats.tolist() == [
        0,
        0.7,
        1.3,
    ]
    picture = drawn(information_figure(found).properties(width=300).to_dict())
    assert "bound: ln 8 = 2.08" in picture and picture.count('stroke-dasharray="5,4"') == 2
    with pytest.raises(ValueError, match="found is empty"):
        information_figure({})


def covering(mnist5k: ImageDataset) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    table = points(mnist5k)[["image_id", "x", "y", "class", "image"]]
    left = table.assign(left_0=[0.4, 0.3, 0.2, 0.1], left_1=[0.0, 0.3, 0.2, 0.1])
    return left, table[:1].assign(number=1), pd.DataFrame({"x": [1.5], "y": [1.0]})


def test_the_map_of_coverage_says_what_is_left_after_the_slider_s_picks(
    mnist5k: ImageDataset,
) -> None:
    spec = coverage_map_spec(*covering(mnist5k), np.array([1.0, 0.6]), "digit")
    (slider,) = spec["params"]
    assert (slider["value"], slider["bind"]["min"], slider["bind"]["max"]) == (1, 0, 1)
    assert "not covered: 0.6 of 1.0 (60.0%)" in drawn({**spec, "width": 300})
    spec["params"] = [{**slider, "value": 0}]
    assert "not covered: 1.0 of 1.0 (100.0%)" in drawn({**spec, "width": 300})


def test_the_share_covered_grows_from_nothing() -> None:
    left = np.array([[3.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    none = np.zeros((0, 2))
    one = Uncovered("bald", np.arange(2), left, none, none, none, 0.5)
    data = covered_data({"bald_coverage": one})
    assert data.covered.tolist() == [0, 0.5, 0.75] and one.covered == 0.75
    assert "BALD-weighted" in drawn(
        covered_figure({"bald_coverage": one}).properties(width=300).to_dict()
    )
    empty = Uncovered("bald", np.arange(2), 0 * left, none, none, none, 0.5)
    assert empty.covered == 0 and covered_data({"bald": empty}).covered.tolist() == [0] * 3


# -- the map -----------------------------------------------------------------------------------


def points(mnist5k: ImageDataset) -> pd.DataFrame:
    ids = [0, 600, 1200, 2500]
    return pd.DataFrame(
        {
            "image_id": ids,
            "x": [0.0, 1.0, 2.0, 3.0],
            "y": [0.0, 2.0, 1.0, 3.0],
            "step": [-1, 0, 1, -2],
            "skipped": [False, True, False, False],
            "class": DIGITS.named(mnist5k.labels[ids]),
            "said": ["0", "can't tell", "", ""],
            "image": [thumbnail(mnist5k.images[i]) for i in ids],
            "bald": [float("nan"), float("nan"), 0.3, 0.1],
        }
    )


@pytest.mark.parametrize("by", [CLASS, "bald"])
@pytest.mark.parametrize("n_steps", [0, 1])
def test_the_map_can_be_drawn(mnist5k: ImageDataset, by: str, n_steps: int) -> None:
    spec = {**pool_map_spec(points(mnist5k), by, n_steps, DIGITS), "width": 300}
    assert "first direction" in drawn(spec)


def test_images_asked_for_have_a_ring_even_without_a_score(mnist5k: ImageDataset) -> None:
    table = points(mnist5k).assign(skipped=False)  # the image of step 0 has no score, that of 1 has
    for by in (CLASS, "bald"):
        for number in (0, 1):
            spec = pool_map_spec(table, by, 1, DIGITS)
            spec["params"] = [{**spec["params"][0], "value": number}]
            rings = drawn({**spec, "width": 300}).count(f'stroke="{ASKED}"')
            assert rings == 1, (by, number)


def test_the_map_takes_more_than_five_thousand_points(mnist5k: ImageDataset) -> None:
    many = pd.concat([points(mnist5k)] * 1300, ignore_index=True)
    assert len(pool_map_spec(many, CLASS, 1, DIGITS)["datasets"]["points"]) == 5200


def test_the_map_sends_what_images_share_once(mnist5k: ImageDataset) -> None:
    table = points(mnist5k)
    spec = pool_map_spec(table, CLASS, 1, DIGITS)
    calculated = next(
        part["calculate"] for part in spec["layer"][0]["transform"] if "calculate" in part
    )
    prefix = calculated.split("'")[1]
    assert [prefix + image for image in spec["datasets"]["points"].image] == table.image.tolist()
    assert prefix.startswith("data:image/png;base64,")


def test_a_thumbnail_is_small_and_shows_the_digit(mnist5k: ImageDataset) -> None:
    digit = mnist5k.images[700]
    uri = thumbnail(digit)
    data = base64.b64decode(uri.split(",")[1])
    with Image.open(io.BytesIO(data)) as image:
        shown = np.asarray(image.convert("L"))
    assert shown.shape == (56, 56) and len(data) < 400
    assert np.abs(shown[::2, ::2].astype(float) - digit).max() <= 43  # half a step of four greys
