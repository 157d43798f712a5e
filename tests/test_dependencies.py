"""The pinned dependencies, their hashes and their licences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import licences

ROOT = Path(__file__).resolve().parents[1]


def pinned() -> dict[str, str]:
    """Name -> version, as `constraints.txt` has them."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


def locked() -> dict[str, tuple[str, int]]:
    """Name -> version and number of hashes, as `requirements.lock` has them."""
    entries = re.split(r"\n(?=\w)", (ROOT / "requirements.lock").read_text())[1:]
    heads = (re.match(r"([\w.-]+)==([^ ]+)", entry) for entry in entries)
    return {
        head[1]: (head[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)))
        for head, entry in zip(heads, entries, strict=True)
        if head
    }


def test_every_pinned_version_is_locked_with_hashes() -> None:
    found = locked()
    assert {name: found[name][0] for name in pinned()} == pinned()
    assert all(n_hashes for _, n_hashes in found.values())


def test_the_licences_of_all_dependencies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    licences.main()
    lines = capsys.readouterr().out.splitlines()
    listed = {line.split()[0].lower().replace("_", "-"): line for line in lines}
    assert {"torch", "numpy", "streamlit", "scipy"} <= set(listed)  # scipy comes with mlxtend
    assert "dal" not in listed
    assert listed["numpy"].split()[2].startswith("BSD")


def test_a_licence_is_read_from_any_of_the_fields_that_packages_use() -> None:
    class Package:
        def __init__(self, **fields: object) -> None:
            self.metadata = Fields(fields)

    class Fields(dict[str, object]):
        def __missing__(self, key: str) -> None:
            return None

        def get_all(self, key: str) -> object:
            return self[key]

    def stated(**fields: object) -> str:
        return licences.licence(Package(**fields))  # type: ignore[arg-type]

    classifier = "License :: OSI Approved :: MIT License"
    assert stated(**{"License-Expression": "MIT", "Classifier": [classifier]}) == "MIT"
    assert stated(Classifier=["Topic :: Games", classifier]) == "MIT License"
    assert stated(License="BSD 3-Clause\n\nCopyright") == "BSD 3-Clause"
    assert stated() == licences.UNKNOWN
