"""The worker's side of the lines between pool and worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.store_kit import ROOT

NOISY = """
import os
from dal_core.execution import worker_process

def warm_up():
    print("a library says hello")
    os.write(1, b"and so does C code")

worker_process.warm_up = warm_up
worker_process.main({home!r})
"""


def test_what_is_printed_in_a_worker_is_no_event(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NOISY.format(home=str(tmp_path))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert json.loads(process.stdout.readline())["event"] == "ready"
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.stderr is not None
        said = process.stderr.read()
    assert b"a library says hello" in said and b"and so does C code" in said
