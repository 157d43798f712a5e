"""Curves with gaps, as continuous mode leaves them, in every place that averages or subtracts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dal_core.experiments.noise_pairs import effects
from dal_core.figures.report import bands_data
from dal_core.record_file.build import build_record, merge
from dal_core.record_file.schema import unfinished
from dal_core.report.write import write_report
from dal_core.results.alignment import aligned
from dal_core.results.crossings import average_step, band
from dal_core.results.curves import RunCurve
from dal_core.results.formats import gaps, to_markdown
from dal_core.results.statistics import statistics
from dal_core.results.tables import tables
from tests.report_record import PROTOCOL


def run(values: dict[int, float], acquisition: str = "bald", seed: int = 1) -> RunCurve:
    return RunCurve(acquisition, seed, tuple(values), tuple(values.values()), (0.1,) * len(values))


WHOLE = run({20: 0.5, 30: 0.6, 40: 0.7, 50: 0.9}, seed=1)
GAPS = run({20: 0.7, 40: 0.9, 50: 0.9}, seed=2)
ELSEWHERE = run({25: 0.5, 35: 0.9}, seed=3)
RANDOM = [
    run({20: 0.5, 30: 0.5, 40: 0.6, 50: 0.7}, "random", 1),
    run({20: 0.6, 30: 0.6, 50: 0.7}, "random", 2),
]


def test_curves_are_compared_where_all_were_measured() -> None:
    labels, values = aligned([WHOLE, GAPS])
    assert list(labels) == [20, 40, 50]
    assert values.tolist() == [[0.5, 0.7, 0.9], [0.7, 0.9, 0.9]]
    assert list(band([WHOLE, GAPS])["mean"]) == pytest.approx([0.6, 0.8, 0.9])
    assert average_step([WHOLE, GAPS], 0.20) == 40


def test_differences_follow_the_same_rule() -> None:
    found = statistics([WHOLE, GAPS, *RANDOM])
    assert list(found.means[found.means.acquisition == "random"].n_labelled) == [20, 30, 50]
    assert list(found.differences.n_labelled) == [20, 30, 40, 50, 20, 50]
    assert list(found.mean_differences.n_labelled) == [20, 50]
    assert list(found.mean_differences["mean"]) == pytest.approx([0.05, 0.2])


def test_the_effect_of_noise_follows_the_same_rule() -> None:
    clean = [run({20: 0.6, 30: 0.7, 40: 0.8, 50: 0.9}, seed=seed) for seed in (1, 2)]
    (found,) = effects([(WHOLE, clean[0]), (GAPS, clean[1])])
    assert (found.n_labelled, found.clean, found.noisy) == (50, 0.9, 0.9)
    assert found.mean_loss == pytest.approx((0.0 + 0.0 + 0.0) / 3)


def test_what_a_mean_leaves_out_is_said_with_the_reason() -> None:
    (sentence,) = gaps([WHOLE, GAPS, RANDOM[0]])
    assert sentence == (
        "BALD: the mean has 3 of 4 numbers of labels, those at which all of its 2 runs were "
        "measured."
    )
    assert gaps([WHOLE, RANDOM[0]]) == []


def test_runs_without_a_common_number_of_labels_are_shown_one_by_one() -> None:
    data = bands_data([WHOLE, ELSEWHERE])
    assert set(data.kind) == {"run"}
    assert set(data.seed) == {1, 3}
    first = to_markdown(tables([WHOLE, ELSEWHERE])).splitlines()[4]
    assert first.startswith("| BALD | [35, 50] | **42.5 ± 7.5** | – |")  # no averaged curve


def test_a_report_is_written_of_curves_with_gaps(tmp_path: Path) -> None:
    protocol = {**PROTOCOL, "n_acquisition_steps": 3}
    records = [build_record([one], protocol) for one in (WHOLE, GAPS, *RANDOM)]
    write_report(records, tmp_path, formats=())
    assert "BALD: the mean has 3 of 4 numbers" in (tmp_path / "tables.md").read_text()
    assert "BALD: the mean has 3 of 4 numbers" in (tmp_path / "index.md").read_text()
    assert list(pd.read_csv(tmp_path / "mean_differences.csv").n_labelled) == [20, 50]


def test_a_run_with_gaps_is_finished_once_its_last_number_of_labels_is_measured() -> None:
    protocol = {**PROTOCOL, "n_acquisition_steps": 3}
    cut = run({20: 0.7, 40: 0.9}, seed=4)
    record = merge([build_record([one], protocol) for one in (WHOLE, GAPS, cut)])
    assert [one.seed for one, _ in unfinished(record)] == [4]
