"""An audit measures accuracy on images that were never asked for, with an exact interval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dal_core.cli import main
from dal_core.data.own.files import file_names
from dal_core.execution.job import advance
from dal_core.protocol.parameters import ProtocolError, override
from dal_core.protocol.presets import PRESETS, preset
from dal_core.results.audit import audit_points
from dal_core.results.intervals import clopper_pearson
from dal_core.run.splits import make_split
from dal_core.store.audit import ANSWERS, add_answers, read_answers, read_predictions
from dal_core.store.home import run_dir
from tests.data.own.test_labelling import CLASSES, Person, short, unlabelled


@pytest.mark.parametrize(
    ("n_right", "n"),
    [(0, 1), (1, 1), (0, 50), (50, 50), (46, 50), (97, 100), (500, 1000)],
)
def test_the_interval_is_that_of_the_beta_distribution(n_right: int, n: int) -> None:
    low, high = clopper_pearson(n_right, n)
    assert low == pytest.approx(
        stats.beta.ppf(0.025, n_right, n - n_right + 1) if n_right else 0, abs=1e-9
    )
    assert high == pytest.approx(
        stats.beta.ppf(0.975, n_right + 1, n - n_right) if n_right < n else 1, abs=1e-9
    )


def test_the_interval_covers_the_truth_at_least_as_often_as_it_says() -> None:
    for p in (0.6, 0.9, 0.99):
        chances = stats.binom.pmf(range(51), 50, p)
        covers = [low <= p <= high for low, high in (clopper_pearson(k, 50) for k in range(51))]
        assert chances[covers].sum() >= 0.95


@pytest.mark.parametrize(("n_right", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_an_impossible_count_is_refused(n_right: int, n: int) -> None:
    with pytest.raises(ValueError, match="allowed: 0 to n, and n at least 1"):
        clopper_pearson(n_right, n)


def audited(tmp_path: Path, home: Path) -> Person:
    """A run with an audit of ten images and twelve labels."""
    unlabelled(tmp_path, home)
    person = Person(home, short(n_epochs=100, audit_size=10), "bald", "strict")
    person.answer(person.asked())
    person.answer(person.asked())
    list(advance(person.bench, person.run.run_id))
    return person


def test_audit_images_are_drawn_apart_and_never_asked_for(tmp_path: Path, dal_home: Path) -> None:
    person = audited(tmp_path, dal_home)
    audit = set(make_split(person.data, person.run.spec.protocol, 1).audit.tolist())
    assert len(audit) == person.run.split_sizes["audit"] == 10
    for query in person.log.queries.values():
        assert not audit & set(query.ranking)
    trained = person.bench.labelled(person.log).ids.tolist()
    assert not audit & set(trained)


def test_an_audit_changes_no_other_role(tmp_path: Path, dal_home: Path, mnist5k: object) -> None:
    from dal_core.data.base import ImageDataset

    assert isinstance(mnist5k, ImageDataset)
    plain = make_split(mnist5k, preset("quick"), 3)
    with_audit = make_split(mnist5k, override(preset("quick"), {"audit_size": 50}), 3)
    for role in ("initial", "validation", "test"):
        assert np.array_equal(getattr(plain, role), getattr(with_audit, role))
    both = np.concatenate([with_audit.pool, with_audit.audit])
    assert np.array_equal(np.sort(both), plain.pool) and len(with_audit.audit) == 50
    assert plain.sizes().keys() == {"initial", "validation", "pool", "test"}
    assert all("audit_size" not in one.model_dump() for one in PRESETS.values())
    unlabelled(tmp_path, dal_home)
    with pytest.raises(ProtocolError, match="audit_size is 60; allowed: at most 59"):
        Person(dal_home, short(audit_size=60), "bald", "strict")


def test_each_model_has_a_point_once_the_audit_is_labelled(tmp_path: Path, dal_home: Path) -> None:
    person = audited(tmp_path, dal_home)
    ids = make_split(person.data, person.run.spec.protocol, 1).audit.tolist()
    predictions = read_predictions(dal_home, person.run.run_id)
    assert [one.n_labelled for one in predictions] == [6, 12]
    assert audit_points(ids, predictions, {}) == []
    truth: dict[int, int | None] = {i: person.truth[i] for i in ids}
    truth[ids[0]] = None  # cannot tell
    size: dict[str, Any] = {"audit": ids, "n_classes": 3}
    add_answers(dal_home, person.run.run_id, {i: 0 for i in ids}, "Bob", **size)
    add_answers(dal_home, person.run.run_id, truth, "Ann", **size)
    answers = read_answers(dal_home, person.run.run_id)
    assert {one.annotator for one in answers.values()} == {"Ann"}
    points = audit_points(ids, predictions, answers)
    for point, one in zip(points, predictions, strict=True):
        right = sum(p == person.truth[i] for i, p in zip(ids[1:], one.predicted[1:], strict=True))
        assert (point.n, point.n_right) == (9, right)
        assert (point.low, point.high) == clopper_pearson(right, 9)


def test_what_was_answered_survives_a_line_that_is_cut_off(tmp_path: Path, dal_home: Path) -> None:
    size: dict[str, Any] = {"audit": [1, 2, 3], "n_classes": 3}
    add_answers(dal_home, "run-1", {1: 2}, "Ann", **size)
    with (run_dir(dal_home, "run-1") / ANSWERS).open("ab") as file:
        file.write(b'{"image_id": 2, "la')
    add_answers(dal_home, "run-1", {3: 0}, "Ann", **size)
    found = read_answers(dal_home, "run-1")
    assert {image_id: one.label for image_id, one in found.items()} == {1: 2, 3: 0}
    for answers, why in [({9: 0}, "is not one of the 3 audit images"), ({1: 3}, "allowed: 0 to 2")]:
        with pytest.raises(ValueError, match=why):
            add_answers(dal_home, "run-1", answers, "Ann", **size)
    assert read_answers(dal_home, "run-1") == found


def test_the_command_takes_labels_from_a_file_and_prints_the_interval(
    tmp_path: Path, dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = audited(tmp_path, dal_home)
    names = file_names(dal_home, "colours")
    command = ["audit", person.run.run_id]
    assert main([*command, "--json"]) == 0
    to_label = json.loads(capsys.readouterr().out)["to_label"]
    assert len(to_label) == 10
    labels = tmp_path / "audit.csv"
    rows = [f"{name},{CLASSES[person.truth[names.index(name)]]}" for name in to_label]
    labels.write_text("\n".join(["file_name,label", *rows]))
    assert main([*command, "--labels", str(labels), "--by", "Ann"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("12 labels: ") and " of 10 right, 95% interval " in last
    labels.write_text(f"file_name,label\n{to_label[0]},pink\n")
    assert main([*command, "--labels", str(labels), "--by", "Ann"]) == 2
    assert "has 'pink'; allowed: red, green, blue" in capsys.readouterr().err
    other = Person(dal_home, short(), "bald", "strict")
    assert main(["audit", other.run.run_id]) == 2
    assert "which has no audit; allowed" in capsys.readouterr().err
