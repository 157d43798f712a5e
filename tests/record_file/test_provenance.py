"""A record says whose answers each run holds and where each point was computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dal_core.record_file.build import merge
from dal_core.record_file.io import dump_record, read_record
from dal_core.record_file.schema import Record
from dal_core.record_file.sync import run_record, stored_record
from dal_core.record_file.validate import RecordError
from dal_core.run.environment import Environment
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests.store_kit import answers_to, ask, give, new_result, new_run, spec

HERE = Environment(torch="2.13.0", threads=1, device="cpu", data="a" * 64)
ELSEWHERE = replace(HERE, torch="2.14.0")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def measured(store: Store, *where: Environment | None, **settings: object) -> str:
    """A run with a step in each environment, and a batch of answers between two."""
    run_id = new_run(store, **settings).run_id
    for place, environment in enumerate(where):
        if place:
            log = store.log(run_id)
            query = ask(store, run_id, range(20 * place, 20 * place + 20))
            if log.run.kind == "person":
                give(store, query, annotator="Zoë")
            else:
                store.submit(query.query_id, answers_to(query), annotator="o", source="oracle")
        log = store.log(run_id)
        result = new_result(log.n_labelled, log.after)
        store.add_step(run_id, replace(result, environment=environment))
    return run_id


def of(record: Record) -> Any:
    return read_record(dump_record(record)).extra["provenance"]


def test_a_record_names_answerers_and_environments_of_every_point(store: Store) -> None:
    run_id = measured(store, HERE, None, ELSEWHERE)
    store.correct(run_id, 23, 8, annotator="bea")
    found = of(run_record(store.log(run_id)))
    assert found["environments"] == [HERE.facts(), ELSEWHERE.facts()]
    assert found["runs"] == [
        {
            "function": "mutual_information",
            "seed": 1,
            "answered_by": ["person Zoë", "person bea"],
            "environment": [0, None, 1],
        }
    ]


def test_an_experiments_record_names_them_by_run(store: Store) -> None:
    run_id = measured(store, ELSEWHERE, HERE, kind="oracle")
    protocol = spec().protocol
    made = store.experiments.create("", protocol, ["bald"], [1], False, [run_id])
    found = of(stored_record(store, made.experiment_id))
    (run,) = found["runs"]
    assert (run["answered_by"], run["environment"]) == (["oracle"], [0, 1])


def test_merged_records_keep_each_runs_own(store: Store) -> None:
    one = run_record(store.log(measured(store, HERE)))
    log = store.log(measured(store, ELSEWHERE, HERE))
    other = run_record(replace(log, run=replace(log.run, spec=spec(seed=2))))
    without = run_record(replace(log, run=replace(log.run, spec=spec(seed=3))))
    found = of(merge([one, other, replace(without, extra={})]))
    assert found["environments"] == [HERE.facts(), ELSEWHERE.facts()]
    assert [(run["seed"], run["environment"]) for run in found["runs"]] == [(1, [0]), (2, [1, 0])]


def test_a_record_without_it_is_read_and_a_foreign_one_may_use_the_name(store: Store) -> None:
    record = run_record(store.log(measured(store, HERE)))
    assert read_record(dump_record(replace(record, extra={}))).extra == {}
    exp = {k: v for k, v in record.params["exp"].items() if k != "written_by"}
    foreign = Record({**record.params, "exp": exp}, record.results, {"provenance": "a museum"})
    assert read_record(dump_record(foreign)).extra == {"provenance": "a museum"}
    assert "provenance" in of_merge(record, foreign)


def of_merge(record: Record, foreign: Record) -> Any:
    return merge([record, foreign]).extra


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": None}, "provenance.runs is None, it must be a list"),
        ({"environments": [[1]]}, r"provenance.environments\[0\] is \[1\], it must be a mapping"),
        ({"environments": []}, r"provenance.runs\[0\].environment holds 0, there are 0"),
        ({"runs": [{"seed": 1}]}, r"provenance.runs\[0\] names no function and seed"),
        (
            {"runs": [{"function": "f", "seed": 1, "answered_by": [" "]}]},
            r"provenance.runs\[0\].answered_by is ' '; allowed: a name that is not blank",
        ),
    ],
)
def test_a_damaged_section_is_refused_in_one_line(
    store: Store, change: dict[str, Any], message: str
) -> None:
    content = yaml.safe_load(dump_record(run_record(store.log(measured(store, HERE)))))
    content["provenance"] |= change
    with pytest.raises(RecordError, match=message) as error:
        read_record(yaml.safe_dump(content, explicit_end=True))
    assert "\n" not in str(error.value)
