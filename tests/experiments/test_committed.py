"""The experiments of results/: their commands are valid, and their folders are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.experiments import EXPERIMENTS, KEPT, write
from dal_core.cli import values
from dal_core.data.base import ImageDataset
from dal_core.experiments import control
from dal_core.record_file.build import build_record
from dal_core.record_file.io import read_record, write_record
from dal_core.record_file.schema import curves
from tests.report_record import PROTOCOL, report_runs

PARTS = [(name, part) for name, parts in EXPERIMENTS.items() for part in parts]


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_every_function_of_an_experiment_can_use_its_posterior(
    name: str, part: str, mnist5k: ImageDataset
) -> None:
    options = [option for option in EXPERIMENTS[name][part] if option != "--no-full-data"]
    given = list(zip(options[::2], options[1::2], strict=True))
    changes = [text for key, text in given if key == "--set"]
    named = {key: text for key, text in given if key != "--set"}
    protocol = values.protocol(
        named["--protocol"], "mnist5k", changes, posterior_name=named.get("--posterior")
    )
    functions = values.several("--acquisitions", named["--acquisitions"])
    seeds = values.seeds(named["--seeds"])
    specs = control.specs(mnist5k, protocol, functions, seeds, full_data=False)
    assert len(specs) == len(functions) * len(seeds)
    assert protocol.n_acquisition_steps == 13


def test_a_folder_holds_the_records_a_summary_and_what_is_kept(tmp_path: Path) -> None:
    records = {}
    for name in ("first", "second"):
        records[name] = tmp_path / f"{name}-of-home.yaml"
        write_record(build_record(report_runs(), PROTOCOL), records[name])
    write("two", records, tmp_path / "two")
    assert len(curves(read_record(tmp_path / "two" / "second.yaml"))) == 15
    kept = {path.name for path in (tmp_path / "two").iterdir()}
    assert kept == {"first.yaml", "second.yaml", "summary.md", *KEPT}
    summary = (tmp_path / "two" / "summary.md").read_text()
    assert summary.startswith("# two\n")
    assert "## second against first" in summary
    assert "](" not in summary  # no link to a file that is not kept
