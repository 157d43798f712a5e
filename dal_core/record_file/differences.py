"""In what the parameters of records differ, and what cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping

from dal_core.protocol.parameters import posterior_defaults
from dal_core.record_file.validate import N_CLASSES

Params = Mapping[str, Mapping[str, object]]  # record -> its parameters, as `protocol_params` reads

# What a record says by leaving the key out.
UNWRITTEN: Mapping[str, object] = {
    "noise": 0.0,
    "n_classes": N_CLASSES,
    **posterior_defaults(),
    "initial_set": "balanced",
    "audit_size": 0,
}
_NOT_COMPARED = ("protocol", "run_on_full")  # a name, and what was run beside the runs


def differing(params: Params) -> list[tuple[str, dict[str, object]]]:
    """Parameters that differ between records, each with its value by record.

    A parameter that one of the records does not name is in `unnamed` instead: its value there is
    unknown.
    """
    found = []
    for key in _compared(params):
        if any(key not in _complete(theirs) for theirs in params.values()):
            continue
        values = {name: _plain(_complete(theirs)[key]) for name, theirs in params.items()}
        first = next(iter(values.values()))
        if any(value != first for value in values.values()):
            found.append((key, values))
    return found


def unnamed(params: Params) -> dict[str, list[str]]:
    """Record -> the parameters that another record names and this one does not, if any."""
    found = {
        name: [key for key in _compared(params) if key not in _complete(theirs)]
        for name, theirs in params.items()
    }
    return {name: keys for name, keys in found.items() if keys}


def _compared(params: Params) -> list[str]:
    keys = dict.fromkeys(key for theirs in params.values() for key in _complete(theirs))
    return [key for key in keys if key not in _NOT_COMPARED]


def _complete(params: Mapping[str, object]) -> dict[str, object]:
    return {**UNWRITTEN, **params}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
