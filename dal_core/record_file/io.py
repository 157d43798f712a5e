"""Read and write a record: one YAML file, parameters first, then results.

docs/method.md, section 10, describes the form. A file written here ends with YAML's end marker
`...`, so that a truncated file is detected. A record is validated when it is read and when it is
written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dal_core.atomic import write_atomically
from dal_core.limits.files import read_file
from dal_core.limits.refused import Malformed, Refused
from dal_core.limits.text import shown, visible
from dal_core.limits.yaml_text import YamlLimits, read_yaml
from dal_core.record_file import provenance
from dal_core.record_file.build import plain
from dal_core.record_file.schema import Record
from dal_core.record_file.validate import RecordError, check

MAX_BYTES = 14_000_000  # a thousand runs of 101 points take about 11 MB and 507,000 values
LIMITS = YamlLimits(characters=MAX_BYTES, values=520_000)


def write_record(record: Record, path: Path | str) -> None:
    """Write `record` atomically: readers see the old file or the new one.

    Raises:
        RecordError: the record is not valid.
        OSError: the file cannot be written.
    """
    write_atomically(Path(path), dump_record(record).encode())


def dump_record(record: Record) -> str:
    """The record as YAML, with every list of values on one line. Raises RecordError."""
    check(record.params, record.results)
    content = {"params": record.params, "results": record.results, **record.extra}
    return yaml.dump(plain(content), Dumper=_Dumper, sort_keys=False, width=100, explicit_end=True)


def read_record(source: Path | str | bytes) -> Record:
    """Read a record, written by dal or in the published form.

    Args:
        source: a path, or the text itself (bytes, or a string that contains a line break).

    Raises:
        RecordError: the file cannot be read, is not YAML, is cut off or over a limit, or a key is
            missing or out of range.
    """
    text, name = _text(source)
    try:
        content = read_yaml(text, LIMITS)
    except Malformed as error:
        raise RecordError(f"{name} is not a complete YAML file ({error}); is it cut off?") from None
    except Refused as error:
        raise RecordError(f"{name}: {error}") from None
    if not isinstance(content, dict):
        raise RecordError(f"{name} holds {shown(content)}, a record holds params and results")
    for key in ("params", "results"):
        if key not in content:
            raise RecordError(f"{name}: {key} is missing (is the file cut off?)")
    params, results = content.pop("params"), content.pop("results")
    check(params, results)
    if "written_by" in params["exp"]:
        _check_provenance(content)
    if "written_by" in params["exp"] and not text.rstrip().endswith("..."):
        raise RecordError(f"{name} is cut off: a record written by dal ends with the line '...'")
    return Record(params, results, content)


def _check_provenance(extra: Mapping[str, Any]) -> None:
    """Check our own section; a foreign record may use its name for anything."""
    if provenance.KEY in extra:
        provenance.check(extra[provenance.KEY])


def _text(source: Path | str | bytes) -> tuple[str, str]:
    """The text of the record, and its name for messages."""
    name = "the record"
    try:
        if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source):
            path = Path(source)
            name = str(path)
            source = read_file(path, MAX_BYTES)
        text = source.decode("utf-8") if isinstance(source, bytes) else source
    except OSError as error:
        raise RecordError(f"{visible(name)} cannot be read: {error.strerror}") from None
    except Refused as error:
        raise RecordError(f"{visible(name)}: {error}") from None
    except UnicodeDecodeError:
        raise RecordError(f"{name} is not a text file") from None
    return text, visible(name)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes lists of plain values on one line and all else in block style, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_list(dumper: Any, values: list[Any]) -> Any:
    flow = not any(isinstance(value, (list, dict)) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)


_Dumper.add_representer(list, _represent_list)
