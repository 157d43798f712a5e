"""Every door through which outside input enters: what it is given, and what may be refused."""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from dal_core.cli import errors, values
from dal_core.data import mnist
from dal_core.data.base import DataError
from dal_core.data.mnist_drawing import as_mnist
from dal_core.exchange.labels_in import read_labels
from dal_core.execution.worker_handle import WorkerHandle
from dal_core.limits import npy
from dal_core.limits.escaping import markdown
from dal_core.limits.text import clean_name, clean_title, name_from
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import PRESETS
from dal_core.protocol.run_spec import RunSpec
from dal_core.protocol.typed import parse_seeds, parse_setting_lines
from dal_core.record_file.build import merge
from dal_core.record_file.io import dump_record, read_record
from dal_core.record_file.schema import bounds, curves, functions, protocol_params, unfinished
from dal_core.results.formats import notes, printed, to_frame, to_latex, to_markdown
from dal_core.results.statistics import statistics
from dal_core.results.tables import tables
from dal_core.run.rows import StoreError
from dal_core.store import artefacts
from dal_core.store.home import default_home
from dal_ui.components.canvas import SIDE, read_drawing
from dal_ui.components.grid.submission import parse_review, parse_submission, parse_undo
from dal_ui.shared.markdown import plain
from tests.fuzz import own_pictures
from tests.fuzz.edits import damaged, damaged_bytes, encoded, nasty
from tests.fuzz.edits import values as json_values

Refusals = tuple[type[Exception], ...]


@dataclass(frozen=True)
class Door:
    """A door, the inputs to try, and how many in the long form.

    Attributes:
        enter: takes one input; raises one of `refuses`, with a message of one line, or nothing.
    """

    inputs: st.SearchStrategy[Any]
    enter: Callable[[Any], object]
    n_long: int
    refuses: Refusals = (ValueError,)


# Records ------------------------------------------------------------------------------------------

RECORD = """params:
  exp:
    dataset: mnist
    train_size: 20
    val_size: 1000
    seed_sequence: [1, 2]
    which_acq_funcs: [mutual_information, random]
    noise: 0.1
  al:
    n_acquisition_steps: 2
    n_samples_to_acquire: 10
    num_mc_samples: 64
  train:
    which_model: LeNet
    betas: &b [0.9, 0.999]
results:
  acq:
    mutual_information:
      test_inf:
      - [0.3, 0.25, 9e-2]
      - [0.31, 0.2]
      test_acc:
      - [0.628, 0.7, 0.95]
      - [0.61, 0.71]
      run_seconds: [12.5, null]
    random:
      test_inf: [[0.3, 0.2, 0.1]]
      test_acc: [[0.6, 0.7, 0.91]]
      n_labelled: [[20, 30, 50]]
      time: 12.5
  bounds:
    test_inf: [0.03, null]
    test_acc: [0.99, null]
note: [*b, kept]
"""


def use_record(content: bytes) -> None:
    """Read a record, and make of it all that the pages and commands make."""
    record = read_record(content)
    runs = curves(record)
    found = tables(runs)
    remarks = notes(runs, unfinished(record))
    for table in found:
        printed(table, markdown)
    to_markdown(found, remarks), to_latex(found, remarks), to_frame(found)
    statistics(runs)
    bounds(record), functions(record)
    str(protocol_params(record))
    merged = merge([record, record])
    assert curves(read_record(dump_record(merged))) == curves(merged)


# Labels -------------------------------------------------------------------------------------------

_ROW = {"image_id": 4, "image_sha256": "0" * 64, "label": 7, "step": 1, "position": 0}
_ROW |= {"annotator": "=Ann", "source": "person", "at": "2026-01-31T12:00:00", "seconds": 1.25}
JSON_LABELS = "\n".join(json.dumps({**_ROW, "image_id": n, "position": n}) for n in range(3))
CSV_LABELS = "\n".join(
    [",".join(_ROW), *(",".join(map(str, {**_ROW, "image_id": n}.values())) for n in range(3))]
)


# Files of data ------------------------------------------------------------------------------------


def _idx(magic: int, *shape: int) -> bytes:
    header = np.array([magic, *shape], dtype=">u4").tobytes()
    return header + bytes(int(np.prod(shape)))


IDX = {
    f"{stem}-{kind}-idx{1 + 2 * (kind == 'images')}-ubyte": _idx(*header)
    for stem in ("train", "t10k")
    for kind, header in (("images", (2051, 3, 28, 28)), ("labels", (2049, 3)))
}


def use_idx(given: tuple[str, bytes]) -> None:
    """Read MNIST's four files, one of them damaged."""
    name, content = given
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / mnist.RAW
        raw.mkdir(parents=True)
        for file, valid in IDX.items():
            (raw / file).write_bytes(content if file == name else valid)
        root = mnist._root(Path(folder))
        for stem in mnist.STEMS:
            mnist._labels(root, stem)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, mean=np.ones((3, 4)), model=np.arange(3))
    return file.getvalue()


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        yield path


def use_npy(content: bytes) -> None:
    npy.read_array(content)


def use_npz(content: bytes) -> None:
    with _file(content) as path:
        npy.read_arrays(path)


def _artefact() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        artefacts.save(path, {"w": np.ones((2, 3), np.float32)}, {"n_labelled": 20})
        return path.read_bytes()


def use_artefact(content: bytes) -> None:
    with _file(content) as path:
        arrays, facts = artefacts.load(path)
        assert facts == {"n_labelled": 20} and np.array_equal(arrays["w"], np.ones((2, 3)))


# Messages of browsers and workers -----------------------------------------------------------------

_MESSAGE = {
    "nonce": "0123456789abcdef",
    "query_id": "q1",
    "answers": {"7": 1, "10": 9},
    "skipped": [13],
    "ms": {"7": 1500, "13": 0},
    "submission_id": 3,
    "open": True,
}


def messages() -> st.SearchStrategy[Any]:
    changed = st.dictionaries(st.sampled_from(sorted(_MESSAGE)), json_values(), min_size=1)
    answers = st.dictionaries(nasty | st.integers(), json_values(), max_size=3)
    parts = st.sampled_from(("answers", "ms"))
    inside = st.tuples(parts, answers).map(lambda pair: {**_MESSAGE, pair[0]: pair[1]})
    return json_values() | changed.map(lambda new: {**_MESSAGE, **new}) | inside


def use_message(raw: object) -> None:
    refused = []
    for parse in (parse_submission, parse_undo, parse_review):
        try:
            parse(raw)
        except ValueError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return file.getvalue()


PNG = _png(np.eye(SIDE, dtype=np.uint8) * 200)


def use_drawing(raw: object) -> None:
    ink = read_drawing(raw)
    if ink is not None:
        as_mnist(ink)


def drawings() -> st.SearchStrategy[Any]:
    start = "data:image/png;base64,"
    png = damaged_bytes(PNG).map(lambda content: start + base64.b64encode(content).decode())
    return png | nasty.map(lambda text: start + text) | json_values()


def hear(line: str) -> None:
    """What a pool does with a line of a worker."""
    worker = object.__new__(WorkerHandle)
    worker.pool = SimpleNamespace(on_event=lambda _worker, _event: None)
    with mock.patch("sys.stderr", io.StringIO()):
        worker._hear(line)


# Text that people give ----------------------------------------------------------------------------

_SETTINGS = {key: str(value) for key, value in PRESETS["quick"].model_dump().items()}


def use_settings(given: tuple[str, str]) -> None:
    key, text = given
    protocol = override(PRESETS["quick"], {key: text})
    assert isinstance(protocol, Protocol)
    # Whatever a value is, it can be stored and identified.
    assert RunSpec("", protocol, "bald", 1).max_labels < 2**63


def settings() -> st.SearchStrategy[tuple[str, str]]:
    one = st.sampled_from(sorted(_SETTINGS))
    return one.flatmap(lambda key: st.tuples(st.just(key), damaged(_SETTINGS[key]) | nasty))


def use_option(given: tuple[str, str]) -> None:
    {
        "number": lambda text: values.whole_number("--seed", text, 0, 2**32),
        "accuracy": lambda text: values.accuracy("--until-accuracy", text),
        "noise": values.noise,
        "several": lambda text: values.several("--acquisitions", text),
        "function": values.acquisition,
        "data": values.dataset,
        "seeds": values.seeds,
        "device": values.device,
        "title": values.title,
        "path": lambda text: values.path("--out", text),
        "protocol": lambda text: values.protocol(text, None, ()),
        "set": lambda text: values.protocol("quick", None, [text]),
        "lines": parse_setting_lines,
        "typed seeds": parse_seeds,
    }[given[0]](given[1])


OPTIONS = (
    *("number", "accuracy", "noise", "several", "function", "data", "seeds", "device", "title"),
    *("path", "protocol", "set", "lines", "typed seeds"),
)


def options() -> st.SearchStrategy[tuple[str, str]]:
    text = nasty | damaged("n_epochs=50\nweights=last\n1, 2, 3-5") | st.text(max_size=30)
    return st.tuples(st.sampled_from(OPTIONS), text)


def use_name(text: str) -> None:
    assert clean_name(name_from("x" + text), "title")
    plain(text)
    assert clean_title(text) == text.strip()
    clean_name(text, "annotator")


def use_environment(text: str) -> None:
    if "\0" in text or any("\ud800" <= one <= "\udfff" for one in text):
        return  # the operating system takes no such variable
    with mock.patch.dict(os.environ, {"DAL_HOME": text, "DAL_DATA": text}):
        default_home()
        mnist.roots(None)


DOORS = {
    "record": Door(damaged(RECORD).map(encoded) | st.binary(), use_record, 14_000),
    "labels in CSV": Door(
        damaged(CSV_LABELS).map(encoded), lambda content: read_labels(content, 10), 12_000
    ),
    "labels in JSON": Door(
        damaged(JSON_LABELS).map(encoded), lambda content: read_labels(content, 10), 12_000
    ),
    "IDX": Door(
        st.sampled_from(sorted(IDX)).flatmap(
            lambda name: st.tuples(st.just(name), damaged_bytes(IDX[name]) | st.binary())
        ),
        use_idx,
        3_000,
        (DataError,),
    ),
    "picture": Door(
        st.sampled_from(own_pictures.PICTURES).flatmap(damaged_bytes) | st.binary(),
        own_pictures.use_picture,
        6_000,
        own_pictures.REFUSES,
    ),
    "archive": Door(
        damaged_bytes(own_pictures.archive()) | st.binary(),
        own_pictures.use_archive,
        3_000,
        own_pictures.REFUSES,
    ),
    "labels of pictures": Door(
        st.sampled_from(sorted(own_pictures.LABELS)).flatmap(
            lambda name: st.tuples(
                st.just(name), damaged(own_pictures.LABELS[name]).map(encoded) | st.binary()
            )
        ),
        own_pictures.use_labels,
        9_000,
        own_pictures.REFUSES,
    ),
    "facts of a data set": Door(
        damaged(own_pictures.FACTS).map(encoded) | st.binary(),
        own_pictures.use_facts,
        6_000,
        own_pictures.REFUSES,
    ),
    "npy": Door(damaged_bytes(_npy(np.ones((2, 3)))) | st.binary(), use_npy, 6_000),
    "npz": Door(damaged_bytes(_npz()), use_npz, 4_000),
    "artefact": Door(damaged_bytes(_artefact()), use_artefact, 4_000),
    "grid": Door(messages(), use_message, 16_000),
    "drawing": Door(drawings(), use_drawing, 6_000),
    "worker": Door(
        damaged('{"event": "done", "run": "a", "more": true}') | nasty,
        hear,
        4_000,
        (),
    ),
    "setting": Door(settings(), use_settings, 14_000),
    "option": Door(options(), use_option, 14_000, (ValueError, errors.WrongUse)),
    "name": Door(st.text(max_size=250) | nasty, use_name, 12_000),
    "environment": Door(
        nasty | st.text(max_size=30), use_environment, 3_000, (StoreError, DataError)
    ),
}
