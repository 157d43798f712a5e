"""Every parameter of a run, validated once, and the named sets of them (presets).

Owns: what a parameter is called, what it may be, what it means. The command line, the pages
and the store all pass through here, so a wrong value is refused at one door with one line.
Does not own: the acquisition function and the seed, which belong to a `RunSpec`.

Names follow the report's record file (SPEC section 10) wherever it has one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

Probability = Annotated[float, Field(ge=0, lt=1)]
SubsetSize = Annotated[int, Field(ge=1)] | Literal["all"]

ACQUISITION_NAMES = (
    "max_entropy",
    "bald",
    "variation_ratios",
    "variation_ratios_mean",
    "mean_std",
    "random",
)
FULL_DATA = "full_data"  # in place of a function: trained once on everything (SPEC section 7)
DATASET_NAMES = ("mnist", "mnist5k")
MAX_SEED = 2**32 - 1
SPLIT_PARAMETERS = ("dataset", "train_size", "initial_with_replacement", "val_size", "test_size")
"""What, besides data and seed, decides which images have which role (`datasets.splits`)."""


class ProtocolError(ValueError):
    """A parameter is unknown or has a value it may not have; the message is one line."""


class Protocol(BaseModel):
    """All parameters of the procedure (report, section 3.1; SPEC sections 2 to 6 and 9)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: Literal["mnist", "mnist5k"] = Field("mnist", description="data set")
    which_model: Literal["lenet5", "gal_cnn"] = Field("lenet5", description="network")
    dropout: tuple[Probability, Probability] = Field(
        (0.5, 0.25), description="dropout probability before the first and the second dense layer"
    )
    train_size: int = Field(
        20, ge=10, multiple_of=10, description="labels in the initial training set, balanced"
    )
    initial_with_replacement: bool = Field(
        False, description="draw the initial images with replacement: one may come twice"
    )
    val_size: int = Field(1000, ge=1, description="images held out for the validation loss")
    test_size: int | None = Field(
        None, ge=1, description="test images, only for data sets without a test set of their own"
    )
    n_acquisition_steps: int = Field(100, ge=0, description="acquisition steps of a whole run")
    n_samples_to_acquire: int = Field(10, ge=1, le=100, description="images asked for per step")
    pool_subset_size: SubsetSize = Field(5000, description="pool images scored per step, or all")
    test_subset_size: SubsetSize = Field(3000, description="test images measured per step, or all")
    num_mc_samples: int = Field(64, ge=1, le=1024, description="stochastic forward passes T")
    entropy_eps: float = Field(0.0, ge=0, le=1e-3, description="added inside the logarithm")
    ties: Literal["random", "first"] = Field("random", description="order of equal scores")
    n_epochs: int = Field(400, ge=1, le=100_000, description="training epochs, never cut short")
    learning_rate: float = Field(0.001, gt=0, le=1, description="AdamW learning rate")
    betas: tuple[Probability, Probability] = Field((0.9, 0.999), description="AdamW betas")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW weight decay")
    full_data_batch_size: int = Field(
        1024, ge=1, description="images per mini-batch of the full-data bound; runs use full batch"
    )
    weights: Literal["best", "last"] = Field(
        "best", description="weights kept: lowest validation loss, or the last epoch's"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _reject_bool(cls, value: Any, info: ValidationInfo) -> Any:
        """Python's True is an int, and would silently become one epoch or a rate of 1."""
        parts = value if isinstance(value, list | tuple) else [value]
        if info.field_name != "initial_with_replacement" and any(type(p) is bool for p in parts):
            raise ValueError("neither true nor false is a number")
        return value

    @model_validator(mode="after")
    def _test_set_has_one_source(self) -> Protocol:
        if self.dataset == "mnist" and self.test_size is not None:
            raise ValueError(
                f"test_size is {self.test_size}; allowed: null, for mnist has its own test set"
            )
        if self.dataset == "mnist5k" and self.test_size is None:
            raise ValueError(
                "test_size is null; allowed: a whole number, for mnist5k has no test set of its own"
            )
        return self

    @property
    def preset(self) -> str:
        """Name of the preset this protocol is, or is closest to (fewest changed parameters)."""
        return min(PRESETS, key=lambda name: len(_changed(self, PRESETS[name])))

    def changes(self) -> dict[str, Any]:
        """Parameters in which this differs from its `preset`; empty for the preset itself."""
        return _changed(self, PRESETS[self.preset])

    def describe(self) -> str:
        """For people: `quick`, or `quick with n_epochs=50` when it is not the preset itself."""
        changes = self.changes()
        if not changes:
            return self.preset
        listed = ", ".join(f"{key}={_plain(value)}" for key, value in changes.items())
        return f"{self.preset} with {listed}"


_QUICK = Protocol(
    dataset="mnist5k",
    dropout=(0.25, 0.5),
    val_size=500,
    test_size=1000,
    pool_subset_size="all",
    test_subset_size="all",
    num_mc_samples=32,
    n_epochs=100,
    learning_rate=0.003,
    weights="last",
    n_acquisition_steps=30,
)

PRESETS: Mapping[str, Protocol] = {
    "report": Protocol(),
    "released": Protocol(
        dropout=(0.25, 0.5),
        weights="last",
        initial_with_replacement=True,
        entropy_eps=1e-10,
        ties="first",
    ),
    "gal2017": Protocol(
        which_model="gal_cnn",
        dropout=(0.25, 0.5),
        val_size=100,
        num_mc_samples=20,
        pool_subset_size="all",
        test_subset_size="all",
        # What Gal et al. leave open is as in the released code.
        weights="last",
        initial_with_replacement=True,
        entropy_eps=1e-10,
        ties="first",
    ),
    "quick": _QUICK,
}

PRESET_TITLES: Mapping[str, str] = {
    "report": "the report's text (400 epochs)",
    "released": "the code released with the report",
    "gal2017": "Gal et al. 2017: their network (slow)",
    "quick": "for people: about two seconds a step",
}


def preset(name: str) -> Protocol:
    """The named protocol.

    `report` and `released` are as SPEC section 9 has them; `gal2017` is Gal et al. with what they
    leave open as in `released`. `quick` is for people and for the embedded 5,000 digits. Against
    `report` it has 100 epochs at learning rate 0.003 and keeps the last weights (so that a
    person needs no labelled validation set, and no time goes into validating), dropout
    0.25 / 0.5, 32 passes over the whole pool and the whole test set, 1,000 test and 500
    validation images, 30 steps. README, "How quick was chosen", has the figures.

    Raises:
        ProtocolError: for an unknown name.
    """
    if name not in PRESETS:
        raise ProtocolError(f"protocol is {name!r}; allowed: {', '.join(PRESETS)}")
    return PRESETS[name]


def make_protocol(values: Mapping[str, Any]) -> Protocol:
    """A Protocol from plain values (a database row, a form). Raises ProtocolError, one line."""
    try:
        return Protocol.model_validate(dict(values))
    except ValidationError as error:
        raise ProtocolError(_one_line(error, values)) from None


def override(base: Protocol, settings: Mapping[str, str | Any]) -> Protocol:
    """`base` with some parameters replaced; strings are read as YAML (`0.5`, `[0.5, 0.25]`, `all`).

    Raises:
        ProtocolError: naming the parameter, the value and what is allowed.
    """
    values = base.model_dump()
    for key, value in settings.items():
        if key not in Protocol.model_fields:
            raise ProtocolError(_unknown(key))
        values[key] = _read_setting(key, value) if isinstance(value, str) else value
    return make_protocol(values)


def allowed(key: str) -> str:
    """What a parameter may be, in a person's words, read off its definition."""
    return _in_words(Protocol.model_json_schema()["properties"][key])


def with_dataset(base: Protocol, dataset: str) -> Protocol:
    """`base` on another data set; split sizes that only fit the old one follow the new one."""
    if dataset not in DATASET_NAMES:
        raise ProtocolError(f"dataset is {dataset!r}; allowed: {', '.join(DATASET_NAMES)}")
    if dataset == base.dataset:
        return base
    if dataset == "mnist":
        return override(base, {"dataset": dataset, "test_size": None})
    # 5,000 images cannot spare 1,000 for validation nor hold 3,000 for testing.
    changes = {
        "dataset": dataset,
        "test_size": _QUICK.test_size,
        "val_size": min(base.val_size, _QUICK.val_size),
        "pool_subset_size": "all",
        "test_subset_size": "all",
    }
    return override(base, changes)


@dataclass(frozen=True)
class RunSpec:
    """What makes a run the same run: data, protocol, acquisition function, seed and oracle.

    `noise` is the probability that the simulated oracle gives a wrong label; 0 is the report's.
    """

    fingerprint: str
    protocol: Protocol
    acquisition: str
    seed: int
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.acquisition not in (*ACQUISITION_NAMES, FULL_DATA):
            names = ", ".join(ACQUISITION_NAMES)
            raise ProtocolError(f"acquisition is {self.acquisition!r}; allowed: {names}")
        if type(self.seed) is not int or not 0 <= self.seed <= MAX_SEED:
            raise ProtocolError(
                f"seed is {self.seed!r}; allowed: a whole number from 0 to {MAX_SEED}"
            )
        if type(self.noise) not in (int, float) or not 0 <= self.noise <= 1:
            raise ProtocolError(f"noise is {self.noise!r}; allowed: a probability from 0 to 1")

    @property
    def key(self) -> str:
        """Short hash; equal for equal specs, whoever answers the queries.

        A noise of 0 leaves it as it was before there was noise.
        """
        parts: list[Any] = [self.fingerprint, self.protocol.model_dump_json()]
        parts += [self.acquisition, self.seed, *([float(self.noise)] if self.noise else [])]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def max_labels(self) -> int:
        """Labels in the training set at the last evaluated step (SPEC section 5)."""
        p = self.protocol
        return p.train_size + p.n_acquisition_steps * p.n_samples_to_acquire


def _changed(one: Protocol, other: Protocol) -> dict[str, Any]:
    theirs = other.model_dump()
    return {key: value for key, value in one.model_dump().items() if value != theirs[key]}


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read_setting(key: str, text: str) -> Any:
    """Text as YAML; `1e-10`, a string to YAML 1.1, becomes a number when it is validated."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise ProtocolError(f"{key} is {text!r}; allowed: {allowed(key)}") from None


def _one_line(error: ValidationError, values: Mapping[str, Any]) -> str:
    first = error.errors()[0]
    if not first["loc"]:  # a rule between two parameters: its own words name them
        return str(first["msg"]).removeprefix("Value error, ")
    key = str(first["loc"][0])
    if key not in Protocol.model_fields:
        return _unknown(key)
    return f"{key} is {values[key]!r}; allowed: {allowed(key)}"


def _unknown(key: str) -> str:
    return f"parameter {key!r} is unknown; allowed: {', '.join(Protocol.model_fields)}"


def _in_words(schema: Mapping[str, Any]) -> str:
    """A person's words for the parts of JSON Schema that the parameters use."""
    if "anyOf" in schema:
        return ", or ".join(_in_words(part) for part in schema["anyOf"])
    if "prefixItems" in schema:
        items = schema["prefixItems"]
        return f"a list of {len(items)}, each {_in_words(items[0])}"
    if "enum" in schema or "const" in schema:
        return ", ".join(schema.get("enum", [schema.get("const")]))
    number = {"integer": "a whole number", "number": "a number"}.get(schema["type"])
    if number is None:
        return {"boolean": "true or false", "null": "null"}[schema["type"]]
    limits = [f"{words} {schema[key]}" for key, words in _LIMITS.items() if key in schema]
    return f"{number}, {' and '.join(limits)}"


_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}
