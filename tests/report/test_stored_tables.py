"""The records in `results/` give the tables that are stored beside them."""

from __future__ import annotations

from pathlib import Path

from dal_core.record_file.io import read_record
from dal_core.report.write import write_report

QUICK = Path(__file__).resolve().parents[2] / "results" / "quick"


def test_the_record_of_quick_gives_its_stored_tables(tmp_path: Path) -> None:
    write_report([read_record(QUICK / "record.yaml")], tmp_path, formats=())
    for name in ("tables.md", "tables.csv"):
        assert (tmp_path / name).read_bytes() == (QUICK / name).read_bytes(), name
