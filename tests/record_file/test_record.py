"""The record file: what is written, what is read, and what is refused at the door."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dal_core.record_file.build import build_record, merge
from dal_core.record_file.io import dump_record, read_record, write_record
from dal_core.record_file.schema import Record, bounds, curves, protocol_params, unfinished
from dal_core.record_file.validate import RecordError
from dal_core.results.curves import Bound, RunCurve

PROTOCOL = {
    "protocol": "quick",
    "dataset": "mnist5k",
    "which_model": "gal_cnn",
    "train_size": 20,
    "val_size": 500,
    "n_acquisition_steps": 3,
    "n_samples_to_acquire": 10,
    "pool_subset_size": "all",
    "num_mc_samples": 32,
    "entropy_eps": 1e-10,
    "n_epochs": 100,
    "dropout": (0.25, 0.5),
    "weights": "last",
}

FOREIGN = """
params:
  exp:
    seed_sequence: [1, 2, 3]
    which_acq_funcs: [mutual_information, random]
    run_on_full: true
    n_runs: 3
    train_size: 20
    val_size: 1000
    device: mps
  al:
    n_acquisition_steps: 2
    n_samples_to_acquire: 10
    pool_subset_size: 5000
    test_subset_size: 3000
    num_mc_samples: 64
  train:
    n_epochs: 400
    early_stopping: -1
    which_model: LeNet
results:
  acq:
    mutual_information:
      test_inf:
      - - 0.3
        - 0.25
        - 9e-2
      - [0.31, 0.2, 0.1]
      test_acc:
      - [0.628, 0.7, 0.8]
      - [0.61, 0.71, 0.81]
      time: 123.4
      comment: kept
  bounds:
    test_inf: [0.0334, 0.0353, 0.0315]
    test_acc: [0.9909, 0.9909, 0.9921]
    time: 99.5
note: also kept
"""


def a_run(
    acquisition: str = "bald",
    seed: int = 1,
    accuracy: tuple[float, ...] = (0.6, 0.7, 0.8, 0.9),
    seconds: Any = None,
) -> RunCurve:
    n_labelled = tuple(20 + 10 * step for step in range(len(accuracy)))
    information = tuple(0.5 - value / 2 for value in accuracy)
    return RunCurve(acquisition, seed, n_labelled, accuracy, information, seconds, "mnist5k")


def changed(old: str, new: str) -> str:
    assert old in FOREIGN
    return FOREIGN.replace(old, new)


def test_a_record_uses_the_published_names() -> None:
    published = ("max_entropy", "bald", "variation_ratios", "variation_ratios_mean", "mean_std")
    runs = [a_run(name) for name in (*published, "random")]
    content = yaml.safe_load(dump_record(build_record(runs, PROTOCOL, [Bound(1, 0.99, 0.03)])))
    assert list(content) == ["params", "results"]
    assert list(content["results"]["acq"]) == [
        "predictive_entropy",
        "mutual_information",
        "variation_ratios",
        "variation_ratios_mean",
        "mean_standard_deviation",
        "random",
    ]
    exp, al, train = (content["params"][name] for name in ("exp", "al", "train"))
    assert exp["which_acq_funcs"] == list(content["results"]["acq"])
    assert (exp["seed_sequence"], exp["n_runs"], exp["run_on_full"]) == ([1], 1, True)
    assert (exp["train_size"], exp["val_size"]) == (20, 500)
    assert (al["n_acquisition_steps"], al["n_samples_to_acquire"]) == (3, 10)
    assert (al["pool_subset_size"], al["num_mc_samples"]) == ("all", 32)
    assert train["which_model"] == "ConvNN"
    assert train["early_stopping"] == -1
    assert (train["dropout"], train["weights"]) == ([0.25, 0.5], "last")
    assert content["results"]["bounds"]["test_acc"] == [0.99]


def test_runs_written_and_read_are_the_same_runs(tmp_path: Path) -> None:
    runs = [a_run(seconds=12.5), a_run(seed=3, accuracy=(0.6,)), a_run("random", 2, seconds=7.0)]
    full = [Bound(3, 0.99, 0.03)]
    record = build_record(runs, PROTOCOL, full, seeds=[1, 2, 3])
    write_record(record, tmp_path / "record.yaml")
    again = read_record(tmp_path / "record.yaml")
    assert [(r.acquisition, r.seed, r.accuracy, r.mutual_information) for r in curves(again)] == [
        (r.acquisition, r.seed, r.accuracy, r.mutual_information) for r in runs
    ]
    assert [r.n_labelled for r in curves(again)] == [r.n_labelled for r in runs]
    assert bounds(again) == full
    assert curves(again)[2].seconds == 7.0
    assert dump_record(again) == (tmp_path / "record.yaml").read_text()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, math.log(10))), min_size=1, max_size=4))
def test_any_measurement_survives_the_file_bit_for_bit(steps: Any) -> None:
    accuracy, information = zip(*steps, strict=True)
    n_labelled = tuple(20 + 10 * step for step in range(len(steps)))
    run = RunCurve("bald", 1, n_labelled, accuracy, information, None, "mnist5k")
    assert curves(read_record(dump_record(build_record([run], PROTOCOL)))) == [run]


def test_the_lists_of_a_record_stay_readable() -> None:
    lines = dump_record(build_record([a_run()], PROTOCOL)).splitlines()
    assert "      - [0.6, 0.7, 0.8, 0.9]" in lines
    assert "    dropout: [0.25, 0.5]" in lines


def test_a_published_record_is_read() -> None:
    record = read_record(FOREIGN)
    first, second = curves(record)
    assert (first.acquisition, first.seed, second.seed) == ("bald", 1, 2)
    assert first.n_labelled == (20, 30, 40)
    assert first.accuracy == (0.628, 0.7, 0.8)
    assert first.mutual_information == (0.3, 0.25, 0.09)
    assert first.seconds is None
    assert [bound.accuracy for bound in bounds(record)] == [0.9909, 0.9909, 0.9921]
    assert protocol_params(record)["which_model"] == "lenet5"


def test_unknown_keys_are_kept_on_rewriting() -> None:
    content = yaml.safe_load(dump_record(read_record(FOREIGN)))
    assert content["params"]["exp"]["device"] == "mps"
    assert content["results"]["acq"]["mutual_information"]["comment"] == "kept"
    assert content["note"] == "also kept"
    assert list(content["params"]["exp"])[:2] == ["seed_sequence", "which_acq_funcs"]


def test_unfinished_runs_are_shown() -> None:
    text = changed("[0.61, 0.71, 0.81]", "[0.61]").replace("[0.31, 0.2, 0.1]", "[0.31]")
    record = read_record(text)
    assert [len(run) for run in curves(record)] == [3, 1]
    assert [(run.seed, n_points) for run, n_points in unfinished(record)] == [(2, 3)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[0.61, 0.71, 0.81]", "[0.61, 0.71]", r"run 1 has 2 values in test_acc and 3 in test_inf"),
        ("n_acquisition_steps: 2", "n_acquisition_steps: 1", r"has 3 values.* allows 2"),
        ("0.628", "62.8", r"test_acc\[0\]\[0\] is 62.8, it must lie between 0 and 1"),
        ("0.628", "-0.1", r"test_acc\[0\]\[0\] is -0.1"),
        ("0.628", ".nan", r"test_acc\[0\]\[0\] is nan, it must be a finite number"),
        ("0.628", "high", r"test_acc\[0\]\[0\] is 'high', it must be a number"),
        ("0.628", "true", r"test_acc\[0\]\[0\] is True, it must be a number"),
        ("0.25", "2.5", r"test_inf\[0\]\[1\] is 2.5"),
        ("0.25", ".inf", r"test_inf\[0\]\[1\] is inf"),
        ("[1, 2, 3]", "[1]", r"has 2 runs, params.exp.seed_sequence names only 1 seeds"),
        ("[1, 2, 3]", "[1, 1, 3]", r"seed_sequence names seed 1 twice"),
        ("[1, 2, 3]", "[1, two, 3]", r"seed_sequence\[1\] is 'two'"),
        ("train_size: 20", "train_size: -1", r"params.exp.train_size is -1"),
        ("    train_size: 20\n", "", r"params.exp.train_size is missing"),
        ("      - [0.628, 0.7, 0.8]\n", "", r"has 1 runs in test_acc and 2 in test_inf"),
        ("0.9909, 0.9909, ", "", r"results.bounds has 1 values in test_acc, 3 in test_inf"),
        ("0.9921", "1.5", r"results.bounds.test_acc\[2\] is 1.5"),
        ("time: 123.4", "time: soon", r"results.acq.mutual_information.time is 'soon'"),
        ("  acq:", "  acqu:", r"results.acq is missing"),
        ("results:", "result:", r"results is missing"),
        ("LeNet", "!!python/object/apply:os.getcwd []", r"line 20 has the tag .*; allowed: none"),
        ("LeNet", "!!bool x", r"line 20 has the tag .*; allowed: none"),
        ("LeNet", "!!timestamp x", r"line 20 has the tag .*; allowed: none"),
        ("LeNet", "[1]", r"params.train.which_model is \[1\], it must be a name"),
        ("LeNet", "{a: 1}", r"params.train.which_model is {'a': 1}, it must be a name"),
        ("LeNet\n", "LeNet\n    1: 2\n", r"params.train has the key 1, it must be a name"),
        ("[1, 2, 3]", "[010]", r"seed_sequence\[0\] is '010', it must be a whole number"),
        (
            "[1, 2, 3]",
            "[1]\n    seed_sequence: [7]",
            r"line 5 has the key 'seed_sequence' a second",
        ),
        ("train_size: 20", f"train_size: {10**400}", r"line 8 has a number of 401 digits"),
        ("train_size: 20", f"train_size: {10**17}", r"params.exp.train_size is 1.*, it must be at"),
        ("steps: 2", f"steps: {10**10}", r"n_acquisition_steps is 1.*, it must be at most"),
        ("0.628", "1" + "0" * 17, r"test_acc\[0\]\[0\] is 1.*, it must lie between 0 and 1"),
        ("time: 123.4", "time: 1.0e+400", r"time is inf, it must be a finite number"),
        ("mutual_information:", '"\\e[2J":', r"line 23 has control characters"),
    ],
)
def test_an_impossible_record_is_refused_in_one_line(old: str, new: str, message: str) -> None:
    with pytest.raises(RecordError, match=message) as error:
        read_record(changed(old, new))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("n_classes", "most"), [(2, 0.68), (100, 4.6), (None, 2.3)])
def test_information_is_bounded_by_the_classes_that_the_record_names(
    n_classes: int | None, most: float
) -> None:
    classes = "" if n_classes is None else f"    n_classes: {n_classes}\n"
    named = changed("    val_size: 1000\n", f"    val_size: 1000\n{classes}")
    read_record(named.replace("0.25", str(most)))
    with pytest.raises(RecordError, match=r"test_inf\[0\]\[1\] is .*, it must lie between"):
        read_record(named.replace("0.25", f"{most + 0.02:.2f}"))


@pytest.mark.parametrize("n_classes", ["1", "-3", "ten", "2.5"])
def test_a_number_of_classes_that_cannot_be_is_refused(n_classes: str) -> None:
    text = changed("    val_size: 1000\n", f"    n_classes: {n_classes}\n")
    with pytest.raises(RecordError, match=r"params.exp.n_classes is .* whole number from 2"):
        read_record(text)


@pytest.mark.parametrize("text", ["\n", "just\nwords", "- a\n- list\n", "a: [1,\n", b"\xff\xfe\n"])
def test_what_is_no_record_is_refused(text: str | bytes) -> None:
    with pytest.raises(RecordError):
        read_record(text)


@pytest.mark.parametrize("bomb", ["&a [*a]", "{x: &a [1, 1], y: &b [*a, *a], z: [*b, *b]}"])
def test_references_are_followed_but_not_without_end(bomb: str) -> None:
    text = FOREIGN + f"more: {bomb}\n"
    if "&a [*a]" in bomb:
        with pytest.raises(RecordError, match="nested too deeply"):
            read_record(text)
    else:
        content = yaml.safe_load(dump_record(read_record(text)))
        assert content["more"]["z"] == [[[1, 1], [1, 1]], [[1, 1], [1, 1]]]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"nowhere\.yaml cannot be read"):
        read_record(tmp_path / "nowhere.yaml")


def test_a_record_of_ours_cut_off_anywhere_is_refused() -> None:
    text = dump_record(build_record([a_run(), a_run("random")], PROTOCOL, [Bound(1, 0.99, 0.03)]))
    whole = len(text.rstrip())
    for end in range(0, whole, 7):
        with pytest.raises(RecordError):
            read_record(text[:end] + "\n")
    with pytest.raises(RecordError, match="cut off"):
        read_record(text[: text.index("    random:")])
    read_record(text[:whole] + "\n")


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.yaml"
    write_record(build_record([a_run()], PROTOCOL), path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_record(build_record([a_run(seed=2)], PROTOCOL), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_impossible_record_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "record.yaml"
    record = build_record([a_run()], PROTOCOL)
    write_record(record, path)
    before = path.read_bytes()
    entry = {"test_acc": [[0.6, 0.7]], "test_inf": [[0.1]]}
    with pytest.raises(RecordError):
        write_record(Record(record.params, {"acq": {"random": entry}}), path)
    assert path.read_bytes() == before


def test_labels_with_gaps_are_kept_under_a_key_of_our_own() -> None:
    """A model that was overtaken by answers is never measured."""
    runs = [
        RunCurve("bald", 1, (20, 50), (0.5, 0.6), (0.1, 0.1)),
        RunCurve("bald", 2, (20, 30), (0.5, 0.6), (0.1, 0.1)),
        RunCurve("random", 1, (20, 30), (0.5, 0.6), (0.1, 0.1)),
    ]
    record = build_record(runs, PROTOCOL)
    acq = record.results["acq"]
    assert acq["mutual_information"]["n_labelled"] == [[20, 50], [20, 30]]
    assert "n_labelled" not in acq["random"]
    assert [run.n_labelled for run in curves(read_record(dump_record(record)))] == [
        run.n_labelled for run in runs
    ]
    assert curves(merge([record, build_record(runs[:1], PROTOCOL)])) == curves(record)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[20, 30], [20]], "n_labelled has 2 runs for 1 in test_acc"),
        ([[20]], r"n_labelled\[0\] has 1 values for 2 points"),
        ([[30, 20]], r"n_labelled\[0\] is \[30, 20\], it must increase"),
        ([[20, "30"]], r"n_labelled\[0\] is '30', it must be a whole number from 1"),
        (["20"], r"n_labelled\[0\] is '20', it must be a list"),
    ],
)
def test_impossible_labels_are_refused_in_one_line(rows: Any, message: str) -> None:
    record = build_record([RunCurve("bald", 1, (20, 50), (0.5, 0.6), (0.1, 0.1))], PROTOCOL)
    record.results["acq"]["mutual_information"]["n_labelled"] = rows
    with pytest.raises(RecordError, match=f"^results.acq.mutual_information.{message}$"):
        dump_record(record)


def test_an_experiment_just_begun_has_a_record() -> None:
    record = build_record([], PROTOCOL, acquisitions=["bald", "random"], seeds=[1, 2])
    again = read_record(dump_record(record))
    assert curves(again) == []
    assert again.params["exp"]["which_acq_funcs"] == ["mutual_information", "random"]


def test_records_merge_by_function_and_seed() -> None:
    one = build_record([a_run("bald", 1), a_run("random", 1)], PROTOCOL, [Bound(1, 0.99, 0.03)])
    two = build_record([a_run("bald", 2), a_run("random", 1)], PROTOCOL, [Bound(2, 0.98, 0.02)])
    merged = merge([one, two])
    assert [(run.acquisition, run.seed) for run in curves(merged)] == [
        ("bald", 1),
        ("bald", 2),
        ("random", 1),
    ]
    assert [bound.seed for bound in bounds(merged)] == [1, 2]
    assert merged.params["exp"]["n_runs"] == 2
    assert curves(read_record(dump_record(merged))) == curves(merged)


def test_merging_keeps_unknown_keys() -> None:
    merged = merge([build_record([a_run("bald", 5, (0.6,))], {**FLAT}), read_record(FOREIGN)])
    content = yaml.safe_load(dump_record(merged))
    assert content["note"] == "also kept"
    assert content["params"]["exp"]["device"] == "mps"
    assert content["results"]["acq"]["mutual_information"]["comment"] == "kept"
    assert [run.seed for run in curves(merged)] == [1, 2, 5]


FLAT = {"train_size": 20, "n_acquisition_steps": 2, "n_samples_to_acquire": 10}


def test_two_different_runs_under_one_key_are_named() -> None:
    one = build_record([a_run("bald", 1)], PROTOCOL)
    two = build_record([a_run("bald", 1, (0.6, 0.7, 0.8, 0.91))], PROTOCOL)
    with pytest.raises(RecordError, match="bald seed 1 appears twice with different numbers"):
        merge([one, two])


def test_two_different_bounds_of_one_seed_are_named() -> None:
    one = build_record([a_run()], PROTOCOL, [Bound(1, 0.99, 0.03)])
    two = build_record([a_run()], PROTOCOL, [Bound(1, 0.98, 0.03)])
    with pytest.raises(RecordError, match="the bound of seed 1 appears twice"):
        merge([one, two])


def test_runs_of_different_protocols_do_not_merge() -> None:
    one = build_record([a_run("bald", 1)], PROTOCOL)
    two = build_record([a_run("bald", 2)], {**PROTOCOL, "weights": "best"})
    with pytest.raises(RecordError, match=r"params\.train\.weights is 'last' in one record"):
        merge([one, two])


@pytest.mark.parametrize(("key", "value"), [("noise", 0.2), ("n_classes", 3), ("posterior", "x")])
def test_a_key_left_out_means_the_value_that_is_not_written(key: str, value: object) -> None:
    run = RunCurve("bald", 1, (20, 30), (0.5, 0.6), (0.3, 0.2))
    other = RunCurve("bald", 2, (20, 30), (0.5, 0.6), (0.3, 0.2))
    plain, changed = build_record([run], PROTOCOL), build_record([other], {**PROTOCOL, key: value})
    with pytest.raises(RecordError, match=rf"params\.exp\.{key} is .*cannot be merged"):
        merge([plain, changed])


def test_merging_nothing_is_refused() -> None:
    with pytest.raises(RecordError, match="no record"):
        merge([])
