"""The folder `dal report` writes."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from dal_core.record_file.build import build_record
from dal_core.record_file.io import read_record, write_record
from dal_core.record_file.schema import Record, curves
from dal_core.record_file.validate import RecordError
from dal_core.report.write import write_report
from dal_core.results.curves import RunCurve
from dal_core.results.statistics import statistics
from tests.report_record import BOUNDS, PROTOCOL, report_record, report_runs


def links(folder: Path) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", (folder / "index.md").read_text())


def test_a_report_holds_tables_statistics_and_the_merged_record(tmp_path: Path) -> None:
    runs = report_runs()
    first = build_record(runs[:7], PROTOCOL, BOUNDS[:1], seeds=[1, 2, 3])
    write_record(first, tmp_path / "first.yaml")
    second = build_record(runs[7:], PROTOCOL, BOUNDS[1:], seeds=[1, 2, 3])
    folder = tmp_path / "out" / "report"
    written = write_report([tmp_path / "first.yaml", second], folder, formats=())
    assert set(written) == set(folder.iterdir())
    assert set(links(folder)) == {path.name for path in written} - {"index.md"}
    tables = (folder / "tables.md").read_text()
    assert "| BALD | [100, 120, 140] | 120.0 ± 16.3 | 130 |" in tables
    assert r"\toprule" in (folder / "tables.tex").read_text()
    assert len(curves(read_record(folder / "record.yaml"))) == 15
    saved = pd.read_csv(folder / "mean_labels_saved.csv").set_index(["acquisition", "accuracy"])
    assert saved["mean"]["bald", 0.95] == pytest.approx(480 - 760 / 3)
    for name in ("figure2", "figure3", "figure4", "figure5", "figure6"):
        assert len(pd.read_csv(folder / f"{name}.csv")) > 0
    index = (folder / "index.md").read_text()
    assert "BALD: seeds 1, 2, 3; 101 points a run" in index
    assert "weights last" in index
    assert "test accuracy 0.9909, 0.9909, 0.9921" in index
    row = index[index.index("| BALD | +") :].splitlines()[0].split(" | ")[1:]
    means = [cell.split()[0] for cell in row]  # at 50 .. 1000 labels
    assert means == ["+0.0", "+10.0", "+0.0", "+4.0", "+4.0", "+0.0"]
    # up to 90% the seeds save 80, 80 and 60 labels: 73.3 ± 4.303 * 11.55 / sqrt(3)
    assert "| BALD | +77 (+62 to +91) | +73 (+45 to +102) | +227 (+83 to +370) |" in index
    assert "(95% t interval of the mean over seeds)" in index


def test_a_report_has_calibration_where_it_was_measured_and_figures_on_request(
    tmp_path: Path,
) -> None:
    labels = (20, 50, 100)
    values = [(0.9, 0.5, seed / 10) for seed in (1, 2, 3)]
    runs = [
        RunCurve("bald", n, labels, (0.5, 0.6, 0.7), (0.3, 0.2, 0.1), nll=one, brier=one, ece=one)
        for n, one in enumerate(values, start=1)
    ]
    write_report([build_record(runs, PROTOCOL)], tmp_path / "plain", formats=())
    index = (tmp_path / "plain" / "index.md").read_text()
    assert "| BALD | 0.500 (0.500 to 0.500) | 0.200 (-0.048 to 0.448) |" in index
    table = pd.read_csv(tmp_path / "plain" / "calibration.csv")
    assert set(table.measure) == {"nll", "brier", "ece"} and set(table.n_labelled) == set(labels)
    assert not list((tmp_path / "plain").glob("calibration_*"))
    record = build_record(runs, PROTOCOL)
    write_report([record], tmp_path / "drawn", formats=("svg",), calibration=True)
    for name in ("nll", "brier", "ece"):
        assert f"(calibration_{name}.svg)" in (tmp_path / "drawn" / "index.md").read_text()
    write_report([report_record()], tmp_path / "old", formats=(), calibration=True)
    assert "Calibration" not in (tmp_path / "old" / "index.md").read_text()
    assert not list((tmp_path / "old").glob("calibration*"))


def test_a_short_experiment_shows_accuracies_at_its_own_numbers_of_labels(tmp_path: Path) -> None:
    runs = [
        RunCurve(name, seed, (20, 30, 40), (0.5, gain + seed / 100, 0.7 + gain), (0.3, 0.2, 0.1))
        for name, gain in (("bald", 0.1), ("random", 0.0))
        for seed in (1, 2, 3)
    ]
    write_report([build_record(runs, PROTOCOL)], tmp_path, formats=())
    accuracy, against = (tmp_path / "index.md").read_text().split("## Against Random")
    assert "| | 30 labels | 40 labels |" in accuracy
    assert "| BALD | 12.0 (9.5 to 14.5) | 80.0 (79.5 to 80.5) |" in accuracy
    assert "| Random | 2.0 (-0.5 to 4.5) | 70.0 (69.5 to 70.5) |" in accuracy
    assert "| BALD | +10.0 (+9.5 to +10.5) | +10.0 (+9.5 to +10.5) |" in against


def test_two_seeds_have_no_interval(tmp_path: Path) -> None:
    two = [run for run in report_runs() if run.seed < 3]
    write_report([build_record(two, PROTOCOL)], tmp_path, formats=())
    index = (tmp_path / "index.md").read_text()
    assert "an interval is given from 3 seeds on" in index
    assert "| BALD | +80 | +80 | +210 |" in index


def test_figure_1_and_a_comparison_come_on_request(tmp_path: Path) -> None:
    class Images:
        images = np.zeros((40, 28, 28), np.uint8)
        labels = np.arange(40) % 10
        test_ids = None
        class_names = tuple("0123456789")
        noun = "digit"

    record = report_record()
    against = {"released": [record]}
    write_report([record], tmp_path, dataset=Images(), against=against, name="report", formats=())
    assert len(pd.read_csv(tmp_path / "figure1.csv")) == 30
    compared = pd.read_csv(tmp_path / "compare_accuracy.csv")
    assert set(compared.record) == {"report", "released"}
    assert (tmp_path / "compare_mutual_information.csv").exists()


def test_each_record_is_compared_with_the_first_by_pairs_of_function_and_seed(
    tmp_path: Path,
) -> None:
    def with_gain(gain: float) -> Record:
        runs = [
            RunCurve("bald", seed, (20, 30), (0.5, 0.6 + seed / 10 + gain), (0.3, 0.2))
            for seed in (1, 2, 3)
        ]
        return build_record(runs, PROTOCOL)

    against = {f"plus {n}": [with_gain(n / 100)] for n in range(1, 6)}  # more than a figure shows
    write_report([with_gain(0)], tmp_path, against=against, name="base", formats=())
    index = (tmp_path / "index.md").read_text()
    assert "## plus 5 against base" in index
    assert "| BALD | +3.0 (+2.5 to +3.5) |" in index  # one of 100 images at least
    assert not (tmp_path / "compare_accuracy.csv").exists()


def test_a_comparison_says_in_what_the_records_differ_and_what_it_cannot_compare(
    tmp_path: Path,
) -> None:
    ours = build_record(report_runs()[:1], {**PROTOCOL, "noise": 0.2, "ties": "first"})
    theirs = build_record(report_runs()[:1], {**PROTOCOL, "weights": "best"})
    write_report([ours], tmp_path, against={"theirs*": [theirs]}, name="ours", formats=())
    index = (tmp_path / "index.md").read_text()
    assert "- Records compared: ours, theirs\\*." in index
    assert "- They differ in noise: 0.2 / 0.0." in index
    assert "- They differ in weights: last / best." in index
    assert "- Not compared, because theirs\\* does not name them: ties." in index


def test_foreign_text_is_only_text_on_the_first_page(tmp_path: Path) -> None:
    name = "![x](http://host/f.png)"
    runs = [RunCurve(one, 1, (20, 30), (0.5, 0.9), (0.3, 0.2)) for one in (name, "random")]
    record = build_record(runs, {**PROTOCOL, "dataset": f"<b>{name}"})
    write_report([record], tmp_path, formats=())
    for file in ("index.md", "tables.md"):
        page = MarkdownIt("commonmark").enable("table").render((tmp_path / file).read_text())
        assert "<img" not in page, file
        assert "<b>" not in page, file
        assert name in page, file


def test_an_unfinished_record_without_random_is_still_reported(tmp_path: Path) -> None:
    run = RunCurve("bald", 1, (20, 30), (0.6, 0.7), (0.3, 0.2))
    write_report([build_record([run], PROTOCOL)], tmp_path, formats=())
    text = (tmp_path / "tables.md").read_text()
    assert "BALD seed 1 (2 of 101 points)" in text
    assert "| BALD | [never] | never | never |" in text
    assert "Against Random" not in (tmp_path / "index.md").read_text()
    assert not (tmp_path / "figure4.csv").exists()


def test_nothing_is_written_for_records_that_cannot_be_reported(tmp_path: Path) -> None:
    other = build_record(report_runs()[:1], {**PROTOCOL, "weights": "best"})
    empty = build_record([], PROTOCOL, acquisitions=["bald"], seeds=[1])
    for records in ([report_record(), other], [empty], [], [tmp_path / "nowhere.yaml"]):
        with pytest.raises(RecordError):
            write_report(records, tmp_path / "report")
    with pytest.raises(ValueError, match="different names"):
        against = {"same": [report_record()]}
        write_report([report_record()], tmp_path / "report", against=against, name="same")
    assert not (tmp_path / "report").exists()


def test_an_accuracy_random_never_reaches_has_no_labels_saved(tmp_path: Path) -> None:
    bald = RunCurve("bald", 1, (20, 30), (0.5, 0.95), (0.3, 0.2))
    random = RunCurve("random", 1, (20, 30), (0.5, 0.85), (0.3, 0.2))
    write_report([build_record([bald, random], PROTOCOL)], tmp_path, formats=())
    line = "| BALD | +0 | reached by 0 of 1 pairs | reached by 0 of 1 pairs |"
    assert line in (tmp_path / "index.md").read_text()


def test_five_seeds_have_intervals() -> None:
    runs = [
        RunCurve(name, seed, (20, 30), (0.5, level + seed / 100), (0.1, 0.1))
        for name, level in (("bald", 0.90), ("random", 0.80))
        for seed in range(5)
    ]
    found = statistics(runs)
    assert found.means.low.notna().all()
    differences = found.mean_differences.set_index("n_labelled")
    assert differences["mean"][30] == pytest.approx(0.10)
    # The same for every seed, and the accuracies are whole hundredths: one step wide.
    assert differences.low[30] == pytest.approx(0.095)
    assert differences.high[30] == pytest.approx(0.105)
    saved = found.mean_labels_saved.set_index("accuracy")
    assert saved["mean"][0.75] == 0
    assert np.isnan(saved["mean"][0.90])  # Random never gets there
    assert saved.n_reached[0.90] == 0
    assert statistics(runs).means.equals(found.means)


@pytest.mark.slow
def test_every_figure_is_written_in_every_format(tmp_path: Path) -> None:
    write_report([report_record()], tmp_path)
    for number in range(2, 7):
        for ending, start in (("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF-")):
            assert (tmp_path / f"figure{number}.{ending}").read_bytes().startswith(start)
    text = (tmp_path / "figure4.svg").read_text()
    assert "Step-Average: 480" in text
    assert "Average-Step: 610" in text
