"""`python -m benchmarks.experiments NAME`: runs an experiment of results/ and writes its folder.

NAME is a key of `EXPERIMENTS`. The runs are kept in a home of their own: the same command goes on
where an earlier one was stopped, and computes nothing twice.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dal_core.protocol.posteriors import posteriors
from dal_core.record_file.io import read_record
from dal_core.report.write import write_report

ROOT = Path(__file__).resolve().parents[1]
TO_150 = ("--no-full-data", "--set", "n_acquisition_steps=13")  # 20 to 150 labels
FOUR = "bald_coverage,batchbald,bald,random"
THREE = "bald_coverage,bald,random"
ALL = (
    "random,bald,max_entropy,variation_ratios,variation_ratios_mean,mean_std,margin,bald_coverage,"
    "entropy_coverage,coreset,badge,typiclust,cluster_margin,batchbald,epig,power_bald,"
    "softmax_bald,softrank_bald"
)


def _quick(functions: str, seeds: str, *more: str) -> tuple[str, ...]:
    return ("--protocol", "quick", "--acquisitions", functions, "--seeds", seeds, *TO_150, *more)


def _networks(functions: str, number: int) -> tuple[str, ...]:
    more = ("--posterior", "ensemble", "--set", f"num_mc_samples={number}")
    return _quick(functions, "1-10", *more)


EXPERIMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "selections": {"record": _quick(ALL, "1-10")},
    "default": {
        "5-networks": _networks("bald_coverage,random", 5),
        "3-networks": _networks("bald_coverage", 3),
    },
    "posteriors": {
        one.name: _quick("random" if one.one_sample else THREE, "1-5", "--posterior", one.name)
        for one in posteriors()
    },
    "selections-mnist": {
        "record": (
            *("--protocol", "released", "--acquisitions", FOUR, "--seeds", "1-5"),
            *TO_150,
        )
    },
}
"""Folder of results/ -> name of a record -> the options of its `dal reproduce`."""

KEPT = (
    "tables.md",
    "mean_differences.csv",
    "figure2.svg",
    "figure3.svg",
    "mean_labels_saved.svg",
    "compare_accuracy.svg",
)
"""What is kept of the report; `dal report` makes the rest from the records."""


def run(options: Sequence[str], home: Path, workers: str) -> Path:
    """Run one `dal reproduce` to its end and return its record file."""
    command = [sys.executable, "-m", "dal_core.cli", "reproduce", *options, "--home", str(home)]
    done = subprocess.run(
        [*command, "--workers", workers, "--json"], check=True, stdout=subprocess.PIPE, text=True
    )
    return Path(json.loads(done.stdout)["record"])


def write(name: str, records: dict[str, Path], folder: Path) -> None:
    """Write the records, and what is kept of their report, to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    first, *others = records
    with tempfile.TemporaryDirectory() as scratch:
        written = write_report(
            [read_record(records[first])],
            scratch,
            against={other: [read_record(records[other])] for other in others},
            name=first,
            formats=("svg",),
        )
        for path in written:
            if path.name in KEPT:
                shutil.copy(path, folder / path.name)
        summary = (Path(scratch) / "index.md").read_text(encoding="utf-8")
    summary = summary.split("\n## Tables and numbers")[0].replace("# Report", f"# {name}", 1)
    (folder / "summary.md").write_text(summary, encoding="utf-8")
    for record, path in records.items():
        shutil.copy(path, folder / f"{record}.yaml")


def main() -> None:
    """Run the experiment and write its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("--home", type=Path, default=ROOT / "runs" / "results")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--only", help="run only this record of the experiment; write no folder")
    given = parser.parse_args()
    parts = EXPERIMENTS[given.name]
    if given.only:
        run(parts[given.only], given.home, given.workers)
        return
    records = {part: run(options, given.home, given.workers) for part, options in parts.items()}
    write(given.name, records, ROOT / "results" / given.name)


if __name__ == "__main__":
    main()
