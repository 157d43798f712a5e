"""`make bench` says what a step costs under every posterior."""

from __future__ import annotations

from benchmarks.posteriors import NAMES, costs
from dal_core.protocol import posteriors


def test_every_posterior_has_a_row_with_its_ratio_to_mc_dropout() -> None:
    announced: list[str] = []

    def measured(method: str, number: int) -> dict[str, float]:
        assert method == "step"
        return {"fit": 1.0 + number, "query": 0.5, "evaluate": 0.5}

    rows = costs(measured, announced.append)
    assert tuple(row.name for row in rows) == NAMES == posteriors.names()
    assert [row.ratio for row in rows] == [(2.0 + n) / 2.0 for n in range(len(NAMES))]
    assert all(name in line for name, line in zip(NAMES, announced, strict=True))
    samples = {row.name: row.samples for row in rows}
    assert (samples["mc_dropout"], samples["ensemble"], samples["deterministic"]) == (32, 5, 1)
