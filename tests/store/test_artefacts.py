"""Artefacts are loaded as they were saved, or not at all."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dal_core.store import artefacts
from dal_core.store.artefacts import ArtefactDamaged, ArtefactMissing

ARRAYS: dict[str, np.ndarray] = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "ids": np.array([3, 1, 2], dtype=np.int64),
    "scalar": np.array(2.5, dtype=np.float64),
    "empty": np.zeros((0, 4), dtype=np.uint8),
}
FACTS: dict[str, object] = {
    "spec": "0123abcd",
    "after": 7,
    "losses": [0.1, 1e-17, 2.0],
    "best_epoch": None,
}

any_arrays = st.dictionaries(
    st.text("abc.é", min_size=1, max_size=5),
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    max_size=4,
)
any_facts = st.dictionaries(
    st.text(max_size=5),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    max_size=4,
)
no_deadline = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in ((one[name], other[name]) for name in one)
    )


@given(arrays=any_arrays, facts=any_facts)
@no_deadline
def test_what_is_saved_is_loaded(
    tmp_path: Path, arrays: dict[str, np.ndarray], facts: dict[str, object]
) -> None:
    path = tmp_path / "folder" / "file.safetensors"
    artefacts.save(path, arrays, facts)
    loaded, found = artefacts.load(path)
    assert same(loaded, arrays) and found == facts == artefacts.read_facts(path)
    first = path.read_bytes()
    artefacts.save(path, arrays, facts)
    assert path.read_bytes() == first  # the same bytes each time
    assert os.listdir(path.parent) == [path.name]


def test_views_are_saved_as_what_they_show_and_infinities_survive(tmp_path: Path) -> None:
    array = np.array([[1.0, math.nan], [-math.inf, 2.0]], dtype=np.float32)
    artefacts.save(tmp_path / "file", {"a": array.T, "b": array[::-1]}, {"loss": math.inf})
    arrays, facts = artefacts.load(tmp_path / "file")
    np.testing.assert_array_equal(arrays["a"], array.T)
    np.testing.assert_array_equal(arrays["b"], array[::-1])
    assert facts == {"loss": math.inf}


@given(position=st.integers(0), flip=st.integers(1, 255))
@settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_changed_byte_is_found_wherever_it_is(tmp_path: Path, position: int, flip: int) -> None:
    path = tmp_path / "file"
    artefacts.save(path, ARRAYS, FACTS)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= flip
    path.write_bytes(content)
    try:
        arrays, facts = artefacts.load(path)
    except ArtefactDamaged as error:
        assert "\n" not in str(error) and str(path) in str(error)
    else:  # white space of the header says nothing
        assert same(arrays, ARRAYS) and facts == FACTS
    assert artefacts.read_facts(path) in (None, FACTS)


def test_every_byte_of_tensors_and_facts_counts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    artefacts.save(path, ARRAYS, FACTS)
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    facts_at = content.index(b"0123abcd")
    for place in [*range(facts_at, facts_at + 8), *range(start, len(content))]:
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ArtefactDamaged):
            artefacts.load(path)


@given(length=st.integers(0, 400))
@no_deadline
def test_a_file_that_was_cut_short_is_damaged(tmp_path: Path, length: int) -> None:
    path = tmp_path / "file"
    artefacts.save(path, ARRAYS, FACTS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ArtefactDamaged):
        artefacts.load(path)
    assert artefacts.read_facts(path) is None


def test_facts_and_arrays_of_different_files_do_not_match(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    artefacts.save(one, {"a": np.zeros(4, np.float32)}, FACTS)
    artefacts.save(other, {"a": np.ones(4, np.float32)}, FACTS)
    one.write_bytes(one.read_bytes()[:-16] + other.read_bytes()[-16:])
    with pytest.raises(ArtefactDamaged, match="arrays do not match"):
        artefacts.load(one)


def test_files_of_earlier_versions_have_no_digest_and_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors.numpy.save(ARRAYS, metadata={"dal": json.dumps(FACTS)}))
    arrays, facts = artefacts.load(path)
    assert same(arrays, ARRAYS) and facts == FACTS == artefacts.read_facts(path)


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"dal": "{"}, {"dal": "[1]"}, {"other": "{}"}, {"dal": "{}", "facts_sha256": "0"}],
)
def test_a_file_without_facts_is_damaged(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(safetensors.numpy.save(ARRAYS, metadata=metadata))
    with pytest.raises(ArtefactDamaged):
        artefacts.load(path)
    assert artefacts.read_facts(path) is None


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtefactMissing, match=r"^[^\n]*absent does not exist$"):
        artefacts.load(tmp_path / "absent")
    assert artefacts.read_facts(tmp_path / "absent") is None
    with pytest.raises(ArtefactDamaged):
        artefacts.load(tmp_path)


def test_a_failed_save_leaves_the_old_file_and_no_leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    artefacts.save(path, ARRAYS, FACTS)
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        artefacts.save(path, {}, {})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["file"]


def test_artefacts_do_without_torch() -> None:
    code = "import dal_core.store.artefacts, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
