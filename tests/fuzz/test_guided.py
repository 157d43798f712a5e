"""The record and label readers under coverage-guided fuzzing, where atheris is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.doors import CSV_LABELS, JSON_LABELS, RECORD
from tests.store_kit import ROOT

N_INPUTS = 20_000
SEEDS = {"record": (RECORD,), "labels": (CSV_LABELS, JSON_LABELS)}


@pytest.mark.slow
@pytest.mark.parametrize("reader", SEEDS)
def test_no_guided_input_ends_a_reader(reader: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed: pip install '.[fuzz]'")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, text in enumerate(SEEDS[reader]):
        (corpus / str(number)).write_text(text)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.guided", reader, str(corpus)),
            *(f"-runs={N_INPUTS}", "-seed=1", "-max_len=4096", "-timeout=10"),
            *("-rss_limit_mb=1000", f"-artifact_prefix={tmp_path}/"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    assert f"Done {N_INPUTS} runs" in done.stderr
