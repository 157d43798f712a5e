"""Parameters: presets, overrides, and one line for every value that is not allowed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from dal_core.acquisition import registry
from dal_core.protocol import posteriors
from dal_core.protocol.parameters import Protocol, ProtocolError, make_protocol, override
from dal_core.protocol.presets import (
    PRESET_TITLES,
    PRESETS,
    changes_from_preset,
    closest_preset,
    describe_briefly,
    describe_protocol,
    for_people,
    preset,
    with_dataset,
)
from dal_core.protocol.run_spec import MAX_SEED, RunSpec
from tests import toys

REPORT, RELEASED, QUICK = (PRESETS[name] for name in ("report", "released", "quick"))


def test_what_people_are_offered_is_a_preset_with_another_posterior() -> None:
    offer = for_people()
    protocol = offer.protocol(preset("quick"))
    assert registry.find(offer.acquisition) is not None
    changes = {"num_mc_samples": offer.n_networks, "posterior": offer.posterior}
    assert protocol == override(preset("quick"), changes)
    assert describe_briefly(protocol) == f"quick · Ensemble, {offer.n_networks} networks"
    assert describe_briefly(override(protocol, {"n_epochs": 50})) == (
        f"quick with n_epochs=50 · Ensemble, {offer.n_networks} networks"
    )
    assert describe_briefly(preset("report")) == "report"


def test_report_is_the_text_of_the_report() -> None:
    assert REPORT.model_dump() == {
        "dataset": "mnist",
        "which_model": "lenet5",
        "dropout": (0.5, 0.25),
        "train_size": 20,
        "initial_with_replacement": False,
        "val_size": 1000,
        "test_size": None,
        "n_acquisition_steps": 100,
        "n_samples_to_acquire": 10,
        "pool_subset_size": 5000,
        "test_subset_size": 3000,
        "num_mc_samples": 64,
        "entropy_eps": 0,
        "ties": "random",
        "n_epochs": 400,
        "learning_rate": 0.001,
        "betas": (0.9, 0.999),
        "weight_decay": 0.01,
        "full_data_batch_size": 1024,
        "weights": "best",
    }


def test_released_differs_from_report_in_exactly_five_fields() -> None:
    report, released = REPORT.model_dump(), RELEASED.model_dump()
    assert {key: value for key, value in released.items() if value != report[key]} == {
        "dropout": (0.25, 0.5),
        "weights": "last",
        "initial_with_replacement": True,
        "entropy_eps": 1e-10,
        "ties": "first",
    }


@pytest.mark.parametrize("key", ["dropout", "weights", "initial_with_replacement", "ties"])
def test_each_of_the_five_can_be_switched_alone(key: str) -> None:
    switched = override(REPORT, {key: getattr(RELEASED, key)})
    assert changes_from_preset(switched) == {key: getattr(RELEASED, key)}


def test_quick_is_for_the_embedded_data_and_needs_no_validation_set() -> None:
    assert (QUICK.dataset, QUICK.weights) == ("mnist5k", "last")


def test_every_preset_has_a_title_and_survives_being_stored() -> None:
    assert PRESETS.keys() == PRESET_TITLES.keys()
    for name, protocol in PRESETS.items():
        assert preset(name) == protocol
        assert make_protocol(protocol.model_dump(mode="json")) == protocol
        assert Protocol.model_validate_json(protocol.model_dump_json()) == protocol
        assert closest_preset(protocol) == describe_protocol(protocol) == name
        assert changes_from_preset(protocol) == {}


def test_an_unknown_preset_is_one_line_with_the_known_ones() -> None:
    with pytest.raises(ProtocolError, match="protocol is 'raport'; allowed: report, released"):
        preset("raport")


def test_a_changed_preset_says_what_was_changed() -> None:
    protocol = override(QUICK, {"n_epochs": 50, "dropout": [0.1, 0.2]})
    assert closest_preset(protocol) == "quick"
    assert describe_protocol(protocol) == "quick with dropout=0.1/0.2, n_epochs=50"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("learning_rate", "0.5", 0.5),
        ("learning_rate", "1", 1.0),
        ("dropout", "[0.5,0.25]", (0.5, 0.25)),
        ("betas", "[0.9, 9e-1]", (0.9, 0.9)),
        ("pool_subset_size", "all", "all"),
        ("pool_subset_size", "17", 17),
        ("entropy_eps", "1e-10", 1e-10),
        ("entropy_eps", "1.0e-10", 1e-10),
        ("initial_with_replacement", "true", True),
        ("initial_with_replacement", "False", False),
        ("weights", "best", "best"),
        ("n_epochs", "50", 50),
        ("n_epochs", "010", 10),  # ten, as a person means it, not eight
        ("n_epochs", 50, 50),
    ],
)
def test_settings_are_read_from_text_or_taken_as_they_are(key: str, text: Any, value: Any) -> None:
    changed = override(QUICK, {key: text})
    assert getattr(changed, key) == value
    assert type(getattr(changed, key)) is type(value)
    assert override(changed, {key: getattr(QUICK, key)}) == QUICK


WHOLE = "a whole number, at least 1"
PAIR = "a list of 2, each a number, at least 0 and below 1"
WRONG = [
    ("dataset", "cifar", "mnist, mnist5k"),
    ("which_model", "resnet", "lenet5, gal_cnn"),
    ("dropout", "0.5", PAIR),
    ("dropout", "[0.5]", PAIR),
    ("dropout", "[0.5, 1]", PAIR),
    ("dropout", "[0.1, 0.2, 0.3]", PAIR),
    ("dropout", "[true, 0.5]", PAIR),
    ("train_size", "25", "a whole number, at least 10 and a multiple of 10"),
    ("train_size", "0", "a whole number, at least 10 and a multiple of 10"),
    ("initial_with_replacement", "perhaps", "true or false"),
    ("initial_with_replacement", "2", "true or false"),
    ("val_size", "0", WHOLE),
    ("val_size", "2020-13-01", WHOLE),
    ("val_size", "[1", WHOLE),
    ("test_size", "0", f"{WHOLE}, or null"),
    ("test_size", "null", "a whole number, since mnist5k has no test set of its own"),
    ("n_acquisition_steps", "-1", "a whole number, at least 0 and at most 1000000"),
    ("n_acquisition_steps", "1000001", "a whole number, at least 0 and at most 1000000"),
    ("n_samples_to_acquire", "101", f"{WHOLE} and at most 100"),
    ("pool_subset_size", "some", f"{WHOLE}, or all"),
    ("pool_subset_size", "0", f"{WHOLE}, or all"),
    ("pool_subset_size", "true", f"{WHOLE}, or all"),
    ("test_subset_size", "1.5", f"{WHOLE}, or all"),
    ("num_mc_samples", "1025", f"{WHOLE} and at most 1024"),
    ("entropy_eps", "0.1", "a number, at least 0 and at most 0.001"),
    ("entropy_eps", "-1e-10", "a number, at least 0 and at most 0.001"),
    ("ties", "First", "random, first"),
    ("n_epochs", "true", f"{WHOLE} and at most 100000"),
    ("n_epochs", "1.5", f"{WHOLE} and at most 100000"),
    ("n_epochs", "", f"{WHOLE} and at most 100000"),
    ("n_epochs", "{a: 1}", f"{WHOLE} and at most 100000"),
    ("n_epochs", "many", f"{WHOLE} and at most 100000"),
    ("n_epochs", "!!bool x", f"{WHOLE} and at most 100000"),
    ("n_epochs", "!!timestamp x", f"{WHOLE} and at most 100000"),
    ("n_epochs", "9" * 400, f"{WHOLE} and at most 100000"),
    ("n_epochs", "[" * 30_000, f"{WHOLE} and at most 100000"),
    ("n_epochs", "&a [*a]", f"{WHOLE} and at most 100000"),
    ("n_epochs", "0x10", f"{WHOLE} and at most 100000"),
    ("n_epochs", "1:30", f"{WHOLE} and at most 100000"),
    ("n_epochs", "\udc80", f"{WHOLE} and at most 100000"),
    ("learning_rate", "0", "a number, above 0 and at most 1"),
    ("learning_rate", "nan", "a number, above 0 and at most 1"),
    ("learning_rate", ".inf", "a number, above 0 and at most 1"),
    ("learning_rate", "true", "a number, above 0 and at most 1"),
    ("betas", "[0.9, 1.0]", PAIR),
    ("weight_decay", "-0.1", "a number, at least 0 and at most 1"),
    ("full_data_batch_size", "0", WHOLE),
    ("weights", "bset", "best, last"),
    ("audit_size", "-1", "a whole number, at least 0 and at most 1000"),
    ("initial_set", "none", "balanced, known, empty"),
    ("posterior", "guess", ", ".join(posteriors.names())),
    ("drop_connect", "0.5", PAIR),
    ("prior_precision", "0", "a number, above 0 and at most 1000000"),
    ("quam_gamma", "0", "a number, above 0 and at most 10"),
    ("quam_penalty", "-1", "a number, at least 0 and at most 1000000"),
    ("quam_steps", "0", f"{WHOLE} and at most 10000"),
    ("quam_layers", "4", f"{WHOLE} and at most 3"),
    ("quam_rho", "-1", "a number, at least 0 and at most 1000000"),
    ("quam_shortlist", "0", f"{WHOLE} and at most 10000"),
    ("n_networks", "1", "a whole number, at least 2 and at most 64"),
]


@pytest.mark.parametrize(("key", "text", "words"), WRONG)
def test_a_wrong_value_is_one_line_naming_it_and_what_is_allowed(
    key: str, text: str, words: str
) -> None:
    with pytest.raises(ProtocolError) as error:
        override(QUICK, {key: text})
    message = str(error.value)
    assert message.startswith(f"{key} is ")
    assert message.endswith(f"; allowed: {words}")
    assert "\n" not in message


def test_every_parameter_is_tried_with_a_wrong_value() -> None:
    assert {key for key, _, _ in WRONG} == set(Protocol.model_fields)


@pytest.mark.parametrize("key", ["n_epochs", "learning_rate", "weight_decay", "val_size"])
def test_true_is_not_taken_for_one(key: str) -> None:
    with pytest.raises(ProtocolError, match=f"{key} is True; allowed: a"):
        override(QUICK, {key: True})


def test_the_message_shows_the_value_that_was_given() -> None:
    with pytest.raises(ProtocolError, match=r"dropout is \[0.5, 1\]; "):
        override(QUICK, {"dropout": "[0.5, 1]"})
    with pytest.raises(ProtocolError, match="ties is 'last'; "):
        override(QUICK, {"ties": "last"})


def test_a_test_size_is_refused_where_the_data_bring_their_own() -> None:
    with pytest.raises(ProtocolError, match="test_size is 500; allowed: null, since mnist has"):
        override(REPORT, {"test_size": "500"})


@pytest.mark.parametrize("make", [lambda s: override(QUICK, s), make_protocol])
def test_an_unknown_parameter_is_one_line_with_the_known_ones(make: Any) -> None:
    with pytest.raises(ProtocolError, match="'epochs' is unknown; allowed: dataset, which_model"):
        make({"epochs": 5})


def test_a_protocol_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        QUICK.n_epochs = 5  # type: ignore[misc]


def test_another_data_set_gets_split_sizes_that_fit_it() -> None:
    small = with_dataset(REPORT, "mnist5k")
    assert (small.dataset, small.test_size, small.val_size) == ("mnist5k", 1000, 500)
    assert (small.pool_subset_size, small.test_subset_size) == ("all", "all")
    assert small.n_epochs == REPORT.n_epochs
    large = with_dataset(QUICK, "mnist")
    assert (large.dataset, large.test_size) == ("mnist", None)
    assert with_dataset(QUICK, "mnist5k") is QUICK


def test_a_small_validation_set_stays_small_on_another_data_set() -> None:
    assert with_dataset(override(REPORT, {"val_size": 100}), "mnist5k").val_size == 100


def test_an_unknown_data_set_is_refused_in_one_line() -> None:
    with pytest.raises(ProtocolError, match="dataset is 'emnist'; allowed: mnist, mnist5k"):
        with_dataset(QUICK, "emnist")


def test_any_registered_data_set_can_be_named_and_its_classes_decide_the_initial_set() -> None:
    with toys.registered():
        signs = with_dataset(REPORT, toys.NAME)
        assert (signs.train_size, signs.test_size, signs.val_size) == (21, None, 12)
        assert (signs.pool_subset_size, signs.test_subset_size) == ("all", "all")
        with pytest.raises(ProtocolError) as error:
            override(signs, {"train_size": 20})
        allowed = "a whole number, at least 3 and a multiple of 3"
        assert str(error.value) == f"train_size is 20; allowed: {allowed}"
        with pytest.raises(ProtocolError) as error:
            override(signs, {"test_size": 50})
        assert str(error.value) == "test_size is 50; allowed: null, since toy has no test set"
        with pytest.raises(ProtocolError, match="dataset is 'x'; allowed: mnist, mnist5k, toy"):
            override(signs, {"dataset": "x"})
    with pytest.raises(ProtocolError, match=r"dataset is 'toy'; allowed: mnist, mnist5k$"):
        override(REPORT, {"dataset": toys.NAME})


SPEC = RunSpec("f" * 64, QUICK, "bald", 1)


def test_equal_specs_have_equal_keys() -> None:
    assert SPEC.key == RunSpec("f" * 64, make_protocol(QUICK.model_dump()), "bald", 1).key
    # A stored run finds its baseline and its weights by this key: it must not drift.
    assert len(SPEC.key) == 16


KEYS = {  # of commit aeee030: stored runs, weights and baselines are found by them
    "report": ("51cc127405effaed", "9ecaca6473418229", "f43e6d01f11d1575", "46843fd810f06773"),
    "released": ("acf043a7b7b22f72", "d6f8ba43b29365fa", "e19f0e1f6d484fc2", "92c24e056c746377"),
    "gal2017": ("0cb1d474fc5f6a74", "e1c1cecf505ea08f", "a656225ddacfa9a3", "5372d9646ad91ce3"),
    "quick": ("a791fe075a5cb9bb", "b160d807383b2cfe", "cbb39980e9f9a3f1", "b031a16c822f6cc2"),
}


@pytest.mark.parametrize("name", PRESETS)
def test_keys_are_those_of_runs_that_are_stored_already(name: str) -> None:
    specs = [("bald", 1, 0.0), ("random", 7, 0.0), ("full_data", 1, 0.0)]
    specs += [("max_entropy", MAX_SEED, 0.1)]
    assert tuple(RunSpec("f" * 64, PRESETS[name], *one).key for one in specs) == KEYS[name]


def test_a_spec_without_noise_has_the_key_it_had_before_there_was_noise() -> None:
    parts = [SPEC.fingerprint, QUICK.model_dump_json(), "bald", 1]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    assert SPEC.key == dataclasses.replace(SPEC, noise=0).key == key


@pytest.mark.parametrize("noise", [-0.1, 1.1, float("nan"), "0.1", True, None])
def test_a_noise_out_of_range_is_one_line(noise: Any) -> None:
    with pytest.raises(ProtocolError, match=f"noise is {noise!r}; allowed: a probability from 0"):
        dataclasses.replace(SPEC, noise=noise)


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "e" * 64},
        {"protocol": override(QUICK, {"n_epochs": 99})},
        {"acquisition": "random"},
        {"seed": 2},
        {"noise": 0.1},
    ],
)
def test_a_spec_with_any_other_part_has_another_key(change: dict[str, Any]) -> None:
    assert dataclasses.replace(SPEC, **change).key != SPEC.key


def test_the_last_step_of_the_report_has_1020_labels() -> None:
    assert dataclasses.replace(SPEC, protocol=REPORT).max_labels == 1020


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 1.5, True, "1"])
def test_a_seed_out_of_range_is_one_line(seed: Any) -> None:
    with pytest.raises(ProtocolError, match=f"seed is {seed!r}; allowed: a whole number from 0"):
        dataclasses.replace(SPEC, seed=seed)


def test_an_unknown_acquisition_function_is_one_line() -> None:
    with pytest.raises(ProtocolError) as error:
        dataclasses.replace(SPEC, acquisition="BALD")
    allowed = ", ".join(registry.names())
    assert str(error.value) == f"acquisition is 'BALD'; allowed: {allowed}"
