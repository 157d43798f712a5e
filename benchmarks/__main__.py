"""`python -m benchmarks`: measures, prints a table and, on request, writes JSON and plots.

It takes four minutes, or five with `--scaling`, on one core of a 2026 server processor.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported


def main() -> None:
    """Parse the options, measure, and print and write the results."""
    options = _options()
    from benchmarks import measure, posteriors, scaling, table
    from dal_core.execution.pool import n_cores
    from dal_core.store.versions import current_versions

    def announce(part: str) -> None:
        print(f"measuring: {part} ...", file=sys.stderr, flush=True)

    results = measure.run(announce, (20, 220) if options.quick else measure.SIZES)
    machine = {**current_versions(), "processor": _processor(), "cores": n_cores()}
    content = {"machine": machine, **results.as_json()}
    table.show(results)
    steps = posteriors.run(announce)
    content["posteriors"] = [asdict(step) for step in steps]
    table.show_posteriors(steps)
    _write(content, options.write)
    if options.scaling:
        scaled = scaling.run(announce)
        table.show_scaling(scaled)
        _write({**content, "scaling": scaled.as_json()}, options.write)
        if options.write:
            from benchmarks import plots

            plots.save_all(results, scaled, options.write)


def _write(content: dict[str, object], folder: Path | None) -> None:
    """Write the numbers as JSON if a folder was given."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=1) + "\n"
        (folder / "results.json").write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="measure only n = 20 and 220; takes two minutes"
    )
    parser.add_argument(
        "--scaling", action="store_true", help="also measure workers, pools, passes and memory"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="write results.json and plots there"
    )
    return parser.parse_args()


def _processor() -> str:
    """The name of the processor, from /proc/cpuinfo if it exists."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
