"""Charts: the numbers behind them, what a saved one shows, and what must stay the same in all."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dal_core import figures
from dal_core.results.curves import RunCurve
from dal_core.results.seeds import labels_saved, mean_labels_saved
from dal_core.results.titles import PALETTE, colour, display_name, in_order
from tests.report_record import BOUNDS, report_runs


def run(accuracy: Sequence[float], acquisition: str = "bald", seed: int = 1) -> RunCurve:
    n_labelled = tuple(20 + 10 * step for step in range(len(accuracy)))
    information = tuple(0.4 - value / 4 for value in accuracy)
    return RunCurve(acquisition, seed, n_labelled, tuple(accuracy), information)


RANDOM = [run((0.60, 0.70, 0.80), "random", 1), run((0.62, 0.74), "random", 2)]


@dataclass(frozen=True)
class Images:
    images: np.ndarray
    labels: np.ndarray
    test_ids: np.ndarray | None = None
    class_names: tuple[str, ...] = tuple("0123456789")
    noun: str = "digit"


@pytest.fixture
def images() -> Images:
    pixels = np.arange(60 * 28 * 28).reshape(60, 28, 28) % 251
    return Images(pixels.astype(np.uint8), np.arange(60) % 10, np.arange(40, 60))


def svg(chart: Any, data: pd.DataFrame, folder: Path) -> str:
    figures.save(chart, folder / "chart", data, formats=("svg",))
    return (folder / "chart.svg").read_text()


def y_domains(spec: Any) -> list[list[float]]:
    """The domains of every y scale in a chart's specification."""
    found = []
    if isinstance(spec, dict):
        if "domain" in spec.get("y", {}).get("scale", {}) and "axis" in spec["y"]:
            found.append(spec["y"]["scale"]["domain"])
        spec = list(spec.values())
    if isinstance(spec, list):
        found += [domain for inner in spec for domain in y_domains(inner)]
    return found


def test_the_learning_curve_shows_run_random_published_and_bound() -> None:
    data = figures.learning_curve_data(
        run((0.6, 0.75)), RANDOM, bound=0.99, published={70: 0.835, 20: 0.628}
    )
    by_kind = {kind: group for kind, group in data.groupby("kind")}
    assert list(by_kind["run"].value) == [0.6, 0.75]
    assert list(by_kind["random"].n_labelled) == [20, 30]  # up to the end of the shortest
    assert list(by_kind["random"].value) == pytest.approx([0.61, 0.72])
    assert list(by_kind["random"].low) == pytest.approx([0.60, 0.70])
    assert list(by_kind["published"].n_labelled) == [20, 70]
    assert list(by_kind["bound"].value) == [0.99]
    assert by_kind["run"].series.iloc[0] == "this run (BALD)"
    assert by_kind["random"].series.iloc[0] == "random, mean of 2 seeds"


def test_over_minutes_every_curve_is_placed_at_the_minutes_its_labels_took(tmp_path: Path) -> None:
    curve, minutes = run((0.6, 0.75)), {20: 0.0, 30: 1.5}
    data = figures.learning_curve_data(curve, RANDOM[:1], bound=0.99, minutes=minutes)
    placed = {kind: list(group.minutes.dropna()) for kind, group in data.groupby("kind")}
    assert placed == {"run": [0.0, 1.5], "random": [0.0, 1.5], "bound": []}  # 40 labels: no time
    text = svg(figures.learning_curve(curve, RANDOM[:1], minutes=minutes), data, tmp_path)
    assert "Minutes of labelling" in text and "Labels in the training set" not in text


def test_points_measured_before_a_correction_are_hollow(tmp_path: Path) -> None:
    curve = run((0.6, 0.7, 0.75))
    data = figures.learning_curve_data(curve, stale=(20, 30))
    assert list(data.stale) == [True, True, False]
    chart = figures.learning_curve(curve, stale=(20, 30)).to_dict()
    marks = [layer["mark"] for layer in chart["layer"]]
    assert [mark["type"] for mark in marks] == ["line", "circle", "point"]
    assert marks[-1]["filled"] is False
    assert len(figures.learning_curve(curve).to_dict()["layer"]) == 2


def test_a_screen_reader_is_told_where_the_curves_stand() -> None:
    chart = figures.learning_curve(run((0.6, 0.75)), RANDOM[:1]).to_dict()
    assert chart["description"] == (
        "Test accuracy: this run (BALD) 75.0% at 30 labels, random 80.0% at 40 labels"
    )
    empty = figures.learning_curve(run(()), metric="mutual_information").to_dict()
    assert empty["description"] == "Mutual information (nats): nothing measured yet"


def test_one_random_run_has_no_band() -> None:
    data = figures.learning_curve_data(run((0.6,)), RANDOM[:1])
    assert data.low.isna().all()
    assert "random" in set(data.series)


def test_the_learning_curve_takes_mutual_information_and_a_data_frame() -> None:
    steps = pd.DataFrame(
        {"n_labelled": [20, 30], "accuracy": [0.6, 0.7], "mutual_information": [0.3, 0.2]}
    )
    data = figures.learning_curve_data(steps, metric="mutual_information")
    assert list(data.value) == [0.3, 0.2]
    assert list(data.series) == ["this run", "this run"]


def test_a_long_title_leaves_room_for_random_in_the_legend() -> None:
    one = RunCurve("bald_coverage", 1, (20,), (0.5,), (0.1,))
    assert set(figures.learning_curve_data(one).series) == {"this run (BALD cover)"}


@pytest.mark.parametrize("n_points", [0, 1, 2])
def test_a_learning_curve_of_few_points_is_drawn(n_points: int, tmp_path: Path) -> None:
    curve = run((0.6, 0.7)[:n_points])
    chart = figures.learning_curve(curve, width=480)
    text = svg(chart, figures.learning_curve_data(curve), tmp_path)
    assert "Labels in the training set" in text
    assert "Test accuracy" in text
    assert text.count('aria-roledescription="circle"') == n_points


def test_an_accuracy_axis_is_never_squashed() -> None:
    near_the_top = figures.learning_curve(run((0.97, 0.971))).to_dict()
    assert all(domain == [0.8, 1.0] for domain in y_domains(near_the_top))
    low = figures.learning_curve(run((0.41, 0.6))).to_dict()
    assert all(domain == [0.4, 1.0] for domain in y_domains(low))
    information = figures.learning_curve(run((0.5,)), metric="mutual_information").to_dict()
    assert all(domain[0] == 0 for domain in y_domains(information))
    assert y_domains(near_the_top)


def test_a_function_has_one_colour_in_every_chart() -> None:
    runs = report_runs()
    compared = {"one": runs, "two": runs}
    for chart in (figures.bands_figure(runs, BOUNDS), figures.compare_figure(compared)):
        for scale in colour_scales(chart.to_dict()):
            pairs = dict(zip(scale["domain"], scale["range"], strict=True))
            assert pairs["BALD"] == colour("bald")
            assert pairs["Random"] == PALETTE["grey"]


def colour_scales(spec: Any) -> list[dict]:
    found = []
    if isinstance(spec, dict):
        if "scale" in spec.get("color", {}):
            found.append(spec["color"]["scale"])
        spec = list(spec.values())
    if isinstance(spec, list):
        found += [scale for inner in spec for scale in colour_scales(inner)]
    return found


def test_no_chart_sets_a_background_or_a_font_colour(images: Images) -> None:
    runs = report_runs()
    saved = mean_labels_saved(labels_saved(runs, [0.9]), 1)
    charts = [
        figures.learning_curve(runs[0], RANDOM, bound=0.99),
        figures.bands_figure(runs, BOUNDS, published=True),
        figures.crossings_figure(runs[-3:]),
        figures.needed_figure(runs, published=True),
        figures.compare_figure({"one": runs, "two": runs}),
        figures.savings_figure(saved),
        figures.examples_figure(images),
    ]
    for chart in charts:
        spec = chart.to_dict()
        assert "background" not in spec
        assert isinstance(spec.get("padding", {}), dict)  # Streamlit fails on a number
        assert "labelColor" not in json.dumps(spec)
        assert "titleColor" not in json.dumps(spec)


def test_labels_saved_over_a_narrow_range_of_accuracies_have_no_two_ticks_of_one_name() -> None:
    saved = mean_labels_saved(labels_saved(report_runs(), [0.90, 0.91]), 1)
    spec = figures.savings_figure(saved).to_dict()
    axes = [layer["encoding"]["x"]["axis"] for layer in spec["layer"] if "x" in layer["encoding"]]
    assert {(axis["format"], axis["tickMinStep"]) for axis in axes} == {(".0%", 0.01)}


def test_figure_2_holds_mean_band_bound_and_published_points() -> None:
    data = figures.bands_data([*RANDOM, run((0.6, 0.8))], BOUNDS, published=True)
    random = data[(data.acquisition == "random") & (data.kind == "mean")]
    assert list(random["mean"]) == pytest.approx([0.61, 0.72])
    assert list(random["std"]) == pytest.approx([0.01, 0.02])
    bound = data[data.kind == "bound"].iloc[0]
    assert bound["mean"] == pytest.approx((0.9909 + 0.9909 + 0.9921) / 3)
    published = data[(data.kind == "published") & (data.acquisition == "bald")]
    assert dict(zip(published.n_labelled, published["mean"], strict=True))[120] == 0.896


def test_an_experiment_under_way_shows_every_run_beyond_the_mean(tmp_path: Path) -> None:
    data = figures.bands_data(RANDOM, each_run=True)
    runs = data[data.kind == "run"]
    assert list(runs.seed) == [1, 1, 1, 2, 2]
    assert list(runs["mean"]) == [0.60, 0.70, 0.80, 0.62, 0.74]
    assert data[data.kind == "mean"].n_labelled.max() == 30
    text = svg(figures.bands_figure(RANDOM, each_run=True), data, tmp_path)
    assert text.count('aria-roledescription="line mark"') == 3


def test_the_first_point_of_a_function_can_be_seen(tmp_path: Path) -> None:
    first = [run((0.6,), "random")]
    text = svg(figures.bands_figure(first), figures.bands_data(first), tmp_path)
    assert text.count('aria-roledescription="circle"') == 1


def test_figure_2_is_drawn_with_every_function_named(tmp_path: Path) -> None:
    runs = report_runs()
    text = svg(figures.bands_figure(runs, BOUNDS), figures.bands_data(runs, BOUNDS), tmp_path)
    for name in ("Max entropy", "BALD", "Variation ratios", "Mean std", "Random", "All images"):
        assert f">{name}</text>" in text
    assert "Labels in the training set" in text
    table = pd.read_csv(tmp_path / "chart.csv")
    assert len(table) == 5 * 101 + 1


def test_a_saved_chart_has_no_marks_that_only_a_pointer_finds(tmp_path: Path) -> None:
    chart = figures.bands_figure(RANDOM)
    assert '"opacity": 0,' in json.dumps(chart.to_dict())
    text = svg(chart, figures.bands_data(RANDOM), tmp_path)
    assert 'opacity="0"' not in text
    assert text.count('aria-roledescription="circle"') == 1  # where the curve ends


def test_figure_4_holds_the_published_crossings() -> None:
    random = [one for one in report_runs() if one.acquisition == "random"]
    data = figures.crossings_data(random)
    lines = data[data.kind != "error"]
    assert list(lines.n_labelled) == [400, 510, 530, 480, 610]
    assert list(lines.kind) == ["run", "run", "run", "Step-Average", "Average-Step"]
    assert list(lines.label[-2:]) == ["Step-Average: 480", "Average-Step: 610"]


def test_figure_4_says_never(tmp_path: Path) -> None:
    data = figures.crossings_data(RANDOM)
    assert data[data.kind != "error"].n_labelled.isna().all()
    text = svg(figures.crossings_figure(RANDOM), data, tmp_path)
    assert "Step-Average: never" in text
    assert "Random, seed 1 (never)" in text
    assert text.count('aria-roledescription="rule mark"') == 1  # the threshold alone


def test_figures_5_and_6_hold_the_published_numbers() -> None:
    data = figures.needed_data(report_runs()).set_index(["error", "acquisition", "counted"])
    assert data.value[0.05, "random", "Step-Average"] == 480
    assert data.low[0.05, "random", "Step-Average"] == pytest.approx(480 - 57.2, abs=0.05)
    assert data.value[0.05, "random", "Average-Step"] == 610
    assert data.value[0.05, "mean_std", "Gal et al. (2017)"] == 695
    assert np.isnan(data.low[0.05, "random", "Average-Step"])
    shares = figures.needed_data(report_runs(), relative=True)
    shares = shares.set_index(["error", "acquisition", "counted"])
    assert shares.value[0.10, "bald", "Average-Step"] == pytest.approx(0.65)
    assert shares.value[0.10, "mean_std", "Gal et al. (2017)"] == pytest.approx(230 / 255)


def test_figure_5_says_never_where_there_is_no_bar(tmp_path: Path) -> None:
    data = figures.needed_data(RANDOM)
    assert list(data.note[data.counted == "Step-Average"]) == ["never", "never"]
    text = svg(figures.needed_figure(RANDOM), data, tmp_path)
    assert text.count(">never</text>") == 4
    assert "10% test error" in text
    assert "5% test error" in text


def test_figure_1_shows_thirty_training_images(images: Images, tmp_path: Path) -> None:
    data = figures.examples_data(images)
    assert len(data) == 30
    assert data.image_id.max() < 40
    assert list(data.label) == [str(image_id % 10) for image_id in data.image_id]
    text = svg(figures.examples_figure(images), data, tmp_path)
    assert text.count("<image") == 30


def test_records_are_compared_function_by_function(tmp_path: Path) -> None:
    records = {"report": [*RANDOM, run((0.6, 0.7, 0.9))], "released": [run((0.7, 0.8, 0.95))]}
    data = figures.compare_data(records, up_to=30)
    assert set(data.panel) == {"BALD"}
    assert set(zip(data.record, data.acquisition, strict=True)) == {
        ("report", "bald"),
        ("report", "random"),
        ("released", "bald"),
    }
    assert data.n_labelled.max() == 30
    text = svg(figures.compare_figure(records), data, tmp_path)
    for name in ("report", "released", "BALD", "Random"):
        assert f">{name}</text>" in text


@pytest.mark.parametrize("n_records", [1, 5])
def test_one_record_or_five_cannot_be_compared(n_records: int) -> None:
    records = {str(number): RANDOM for number in range(n_records)}
    with pytest.raises(ValueError, match=f"got {n_records}"):
        figures.compare_figure(records)


def test_a_chart_is_saved_in_every_format_with_its_numbers(tmp_path: Path) -> None:
    data = figures.learning_curve_data(run((0.6, 0.7)))
    written = figures.save(figures.learning_curve(run((0.6, 0.7))), tmp_path / "new" / "a.b", data)
    assert [path.name for path in written] == ["a.b.svg", "a.b.png", "a.b.pdf", "a.b.csv"]
    starts = [path.read_bytes()[:5] for path in written]
    assert starts[0].startswith(b"<svg")
    assert starts[1].startswith(b"\x89PNG")
    assert starts[2] == b"%PDF-"
    assert list(pd.read_csv(written[3]).value) == [0.6, 0.7]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    data = figures.learning_curve_data(run((0.6,)))
    with pytest.raises(ValueError, match="'bmp'; allowed: svg, png, pdf"):
        figures.save(figures.learning_curve(run((0.6,))), tmp_path / "x", data, ("bmp",))
    assert list(tmp_path.iterdir()) == []


def test_functions_have_names_and_an_order() -> None:
    assert display_name("mean_std") == "Mean std"
    assert display_name("mean_std", short=True) == "MSTD"
    assert display_name("theirs") == "theirs"
    assert in_order(["theirs", "random", "bald", "bald"]) == ["bald", "random", "theirs"]


def test_no_two_functions_share_a_colour() -> None:
    names = ["max_entropy", "bald", "variation_ratios", "variation_ratios_mean", "mean_std"]
    assert len({colour(name) for name in [*names, "random", "full data"]}) == 7
