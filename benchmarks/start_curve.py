"""`python -m benchmarks.start_curve RECORD FUNCTION`: writes the curve beside the start form.

RECORD is a record in `results/` that holds FUNCTION and `random`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from dal_core.protocol.parameters import Protocol, make_protocol
from dal_core.protocol.presets import describe_briefly
from dal_core.record_file.io import read_record
from dal_core.record_file.schema import curves, protocol_params

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "dal_ui" / "label" / "measured.json"
MOST_LABELS = 150


def content(source: str, function: str) -> dict[str, Any]:
    """The numbers of a record, given by its path from the project's root."""
    record = read_record(ROOT / source)
    params = protocol_params(record)
    protocol = make_protocol({key: params[key] for key in params if key in Protocol.model_fields})
    shown = [run.up_to(MOST_LABELS) for run in curves(record)]
    return {
        "source": source,
        "function": function,
        "procedure": describe_briefly(protocol),
        "runs": [
            {
                "acquisition": run.acquisition,
                "seed": run.seed,
                "n_labelled": list(run.n_labelled),
                "accuracy": list(run.accuracy),
            }
            for run in shown
            if run.acquisition in (function, "random")
        ],
    }


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record")
    parser.add_argument("function")
    given = parser.parse_args()
    text = json.dumps(content(given.record, given.function))
    FILE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
