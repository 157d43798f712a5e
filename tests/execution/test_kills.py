"""The trial of kills, short; the long one is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill_trial import KINDS, trial


@pytest.mark.parametrize(
    ("n_kills", "seed"), [(3, 1), pytest.param(100, 2, marks=pytest.mark.slow)]
)
def test_after_kills_at_random_moments_a_run_is_as_if_nothing_had_happened(
    tmp_path: Path, n_kills: int, seed: int
) -> None:
    counts = trial(tmp_path / "home", n_kills, seed)
    assert sum(counts[kind] for kind in KINDS) == n_kills
