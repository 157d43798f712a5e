"""The registry of posteriors."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from dal_core.protocol import posteriors
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.posteriors import PosteriorEntry

NAMES = posteriors.names()


def test_the_posterior_of_the_report_comes_first() -> None:
    assert NAMES[:3] == ("mc_dropout", "deterministic", "ensemble")


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_read_from_a_file_is_the_one_its_module_registers(name: str) -> None:
    module = import_module(f"dal_core.posterior.{name}")
    assert posteriors.get(name) == module.ENTRY


@pytest.mark.parametrize("entry", posteriors.posteriors(), ids=NAMES)
def test_an_entry_says_what_people_read_in_plain_lines(entry: PosteriorEntry) -> None:
    assert all((entry.title, entry.hint, entry.sample, entry.source, entry.row, entry.rows))
    assert len(entry.hint) < 100 and not entry.hint.endswith(".")
    assert " row below is " in entry.origin.rpartition(". ")[2] and not entry.origin.endswith(".")
    assert set(entry.parameters) <= set(Protocol.model_fields)
    assert entry.multiple_of in ("", "n_classes", *entry.parameters)


def test_listing_names_imports_no_torch() -> None:
    code = "import sys; from dal_core.protocol import posteriors; posteriors.names(); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_is_registered_once() -> None:
    other = PosteriorEntry("ensemble", "Another", "hint", "sample", "source")
    with pytest.raises(ValueError, match="posterior 'ensemble' is already registered"):
        posteriors.register(other)
    assert posteriors.get("ensemble").title == "Ensemble"


def test_an_unknown_name_is_refused_with_those_allowed() -> None:
    with pytest.raises(ValueError, match="posterior 'guess' is unknown; allowed: mc_dropout, "):
        posteriors.get("guess")
    assert posteriors.find("guess") is None
