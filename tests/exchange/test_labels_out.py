"""Exports: what rows a run gives, and that they survive a spreadsheet and a JSON reader."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from dal_core.data.base import ImageDataset, build
from dal_core.exchange import labels_in, labels_out
from dal_core.protocol.presets import preset
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests.store_kit import answers_to, new_query, new_result

ANNOTATOR = '=HYPERLINK("http://example.org"), Zoë'


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 28, 28), dtype=np.uint8)
    return build("mnist5k", "small", images, rng.integers(0, 10, 200))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def log(store: Store, dataset: ImageDataset) -> RunState:
    """A run with a person's ten labels and a skipped image, then ten labels of the oracle."""
    spec = RunSpec(dataset.fingerprint, preset("quick"), "bald", 1)
    run = store.create_run(spec, kind="person", n_initial=20, split_sizes={"pool": 180})
    run_id = run.run_id
    first = new_query(ranking=tuple(range(50, 90)))
    store.add_query(run_id, first, None)
    answers = list(reversed(answers_to(first, skipped=[51])))
    store.submit(first.query_id, answers, annotator=ANNOTATOR, source="person")
    second = new_query(ranking=tuple(range(100, 140)), n_labelled=30, after=store.log(run_id).after)
    store.add_query(run_id, second, None)
    store.submit(second.query_id, answers_to(second), annotator="oracle", source="oracle")
    store.add_step(run_id, new_result())
    return store.log(run_id)


def test_every_answer_is_a_row_in_the_order_of_the_ranking(
    log: RunState, dataset: ImageDataset
) -> None:
    rows = labels_out.label_rows(log, dataset)
    assert [row.image_id for row in rows] == [*range(50, 61), *range(100, 110)]
    assert [row.step for row in rows] == [0] * 11 + [1] * 10
    assert [(row.image_id, row.label) for row in rows if not row.skipped] == log.labels()


def test_a_skipped_image_is_a_row_without_a_label(log: RunState, dataset: ImageDataset) -> None:
    skipped = [row for row in labels_out.label_rows(log, dataset) if row.skipped]
    assert [(row.image_id, row.label) for row in skipped] == [(51, None)]


def test_an_image_is_named_by_the_hash_of_its_784_bytes(
    log: RunState, dataset: ImageDataset
) -> None:
    row = labels_out.label_rows(log, dataset)[0]
    pixels = dataset.images[row.image_id].tobytes()
    assert len(pixels) == 784
    assert row.image_sha256 == hashlib.sha256(pixels).hexdigest()


def test_what_was_taken_back_is_not_exported(
    store: Store, log: RunState, dataset: ImageDataset
) -> None:
    store.undo(log.run.run_id)
    rows = labels_out.label_rows(store.log(log.run.run_id), dataset)
    assert {row.annotator for row in rows} == {ANNOTATOR}


def test_labels_are_not_put_to_the_images_of_another_data_set(
    log: RunState, dataset: ImageDataset
) -> None:
    other = dataclasses.replace(dataset, fingerprint="0" * 64)
    with pytest.raises(ValueError, match="made on other data"):
        labels_out.render(log, other, "csv")


def test_the_csv_has_the_columns_promised_and_every_row(
    log: RunState, dataset: ImageDataset
) -> None:
    read = list(csv.DictReader(io.StringIO(labels_out.render(log, dataset, "csv"))))
    assert ",".join(read[0]) == (
        "run,image_id,image_sha256,label,skipped,annotator,source,at,seconds,query_id,step,"
        "n_labelled,position,corrected"
    )
    assert len(read) == 21
    assert [row["label"] for row in read if row["skipped"] == "True"] == [""]


def test_no_cell_of_the_csv_is_a_formula(log: RunState, dataset: ImageDataset) -> None:
    cells = [
        cell
        for row in csv.reader(io.StringIO(labels_out.render(log, dataset, "csv")))
        for cell in row
    ]
    assert "'" + ANNOTATOR in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_a_row_says_how_many_labels_there_were_its_place_and_whether_it_was_corrected(
    store: Store, log: RunState, dataset: ImageDataset
) -> None:
    store.correct(log.run.run_id, 53, 7, annotator="bea")
    rows = labels_out.label_rows(store.log(log.run.run_id), dataset)
    assert [row.position for row in rows] == list(range(21))
    assert [row.n_labelled for row in rows] == [20] * 11 + [30] * 10
    assert [(row.image_id, row.label) for row in rows if row.corrected] == [(53, 7)]


def test_a_corrected_row_names_who_answered_who_corrected_and_the_first_label(
    store: Store, log: RunState, dataset: ImageDataset
) -> None:
    assert "corrected_by" not in labels_out.to_csv(labels_out.label_rows(log, dataset))
    for label, who in ((7, "bea"), (8, "=cat")):
        store.correct(log.run.run_id, 53, label, annotator=who)
    log = store.log(log.run.run_id)
    rows = labels_out.label_rows(log, dataset)
    (row,) = [row for row in rows if row.corrected]
    assert (row.annotator, row.first_label, row.label) == (ANNOTATOR, 3, 8)
    assert (row.corrected_by, row.corrected_at) == ("=cat", log.corrections[-1].at)
    (_, *lines) = labels_out.to_csv(rows).splitlines()
    assert sum("'=cat" in line for line in lines) == 1
    read = labels_in.read_labels(labels_out.to_csv(rows).encode(), dataset.n_classes)
    assert [(one.image_id, one.label) for one in read] == [(r.image_id, r.label) for r in rows]


def test_json_lines_carry_the_text_as_it_was_typed(log: RunState, dataset: ImageDataset) -> None:
    lines = labels_out.render(log, dataset, "jsonl").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 21
    assert rows[0]["annotator"] == ANNOTATOR
    assert rows[1]["label"] is None and rows[1]["skipped"] is True


def test_the_yaml_is_the_record_of_the_run(log: RunState, dataset: ImageDataset) -> None:
    record = yaml.safe_load(labels_out.render(log, dataset, "yaml"))
    assert record["params"]["exp"]["seed_sequence"] == [1]
    assert record["results"]["acq"]["mutual_information"]["test_acc"] == [[0.5]]


def test_an_unknown_format_is_refused(log: RunState, dataset: ImageDataset) -> None:
    with pytest.raises(ValueError, match="format is 'xlsx'; allowed: csv, jsonl, yaml"):
        labels_out.render(log, dataset, "xlsx")
