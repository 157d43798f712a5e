"""The parameters of the procedure: names, meanings and allowed values.

The command line, the pages and the store all read parameters through this module, so a wrong
value gives the same one-line message everywhere. Parameters that the report's record file has
keep their names there (docs/method.md, section 10).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from dal_core.data.catalogue import DATASETS
from dal_core.limits.refused import Refused
from dal_core.limits.text import shown
from dal_core.limits.yaml_text import YamlLimits, read_yaml
from dal_core.models.image_sizes import DENSE_LAYERS
from dal_core.protocol import posteriors
from dal_core.protocol.posteriors import DEFAULT_POSTERIOR, PosteriorEntry

MOST_STEPS = 1_000_000  # more images than any data set has

Probability = Annotated[float, Field(ge=0, lt=1)]
SubsetSize = Annotated[int, Field(ge=1)] | Literal["all"]

# One value, or a short list.
_SETTING = YamlLimits(characters=200, values=20, depth=3, references=0)

SPLIT_PARAMETERS = (
    *("dataset", "initial_set", "train_size", "initial_with_replacement"),
    *("val_size", "test_size", "audit_size"),
)
"""The parameters that decide the role of every image, with the data and seed (`run.splits`)."""


class ProtocolError(ValueError):
    """A parameter is unknown or its value is not allowed; the message is one line."""


class Protocol(BaseModel):
    """All parameters of the procedure (report, section 3.1; docs/method.md, sections 2-6 and 9)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str = Field("mnist", description="data set")
    which_model: Literal["lenet5", "gal_cnn"] = Field("lenet5", description="network")
    dropout: tuple[Probability, Probability] = Field(
        (0.5, 0.25), description="dropout probability before the first and the second dense layer"
    )
    initial_set: Literal["balanced", "known", "empty"] = Field(
        "balanced",
        description="what a run starts with: equally many images of each class, all images whose "
        "class is known, or nothing",
    )
    train_size: int = Field(
        20,
        ge=0,
        description="labels in a balanced initial set, equally many of each class",
    )
    initial_with_replacement: bool = Field(
        False,
        description="draw the initial images with replacement, so that one may be drawn twice",
    )
    val_size: int = Field(1000, ge=0, description="images held out for the validation loss")
    test_size: int | None = Field(
        None, ge=1, description="test images, only for data sets without a test set of their own"
    )
    audit_size: int = Field(
        0, ge=0, le=1000, description="images set apart for a person to measure the accuracy with"
    )
    n_acquisition_steps: int = Field(
        100, ge=0, le=MOST_STEPS, description="acquisition steps of a whole run"
    )
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
    posterior: str = Field(DEFAULT_POSTERIOR, description="how predictions are sampled")
    # Read by some posteriors only (`PosteriorEntry.parameters`):
    drop_connect: tuple[Probability, Probability] = Field(
        (0.5, 0.5), description="probability that a weight of the two dense layers is dropped"
    )
    prior_precision: float = Field(
        100.0, gt=0, le=1_000_000, description="precision of the last layer's prior"
    )
    n_networks: int = Field(3, ge=2, le=64, description="networks that each predict several times")
    quam_gamma: float = Field(
        0.01, gt=0, le=10, description="what a searched network's training loss may be above, nats"
    )
    quam_penalty: float = Field(
        100.0, ge=0, le=1_000_000, description="weight of a training loss above that"
    )
    quam_steps: int = Field(40, ge=1, le=10_000, description="steps of a search")
    quam_layers: int = Field(
        2, ge=1, le=3, description="last dense layers whose weights are searched"
    )
    quam_rho: float = Field(
        0.0, ge=0, le=1_000_000, description="weight of the squared distance to the trained weights"
    )
    quam_shortlist: int = Field(
        100, ge=1, le=10_000, description="images of the pool that are searched for"
    )

    @model_serializer(mode="wrap")
    def _leave_out_later_defaults(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """So that keys, protocols and records equal those stored before a parameter existed."""
        values: dict[str, Any] = serialise(self)
        for key, value in posterior_defaults().items():
            if getattr(self, key) == value:
                values.pop(key, None)
        if self.initial_set == "balanced":
            values.pop("initial_set", None)
        if not self.audit_size:
            values.pop("audit_size", None)
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _reject_bool(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse True and False as numbers; in Python, True is the integer 1."""
        parts = value if isinstance(value, list | tuple) else [value]
        if info.field_name != "initial_with_replacement" and any(type(p) is bool for p in parts):
            raise ValueError("neither true nor false is a number")
        return value

    @field_validator("dataset")
    @classmethod
    def _dataset_is_known(cls, name: str) -> str:
        if name not in DATASETS:
            raise ValueError("unknown data set")
        return name

    @field_validator("posterior")
    @classmethod
    def _posterior_is_known(cls, name: str) -> str:
        if posteriors.find(name) is None:
            raise ValueError("unknown posterior")
        return name

    @model_validator(mode="after")
    def _fits_the_dataset(self) -> Protocol:
        _check_initial_set(self)
        _check_test_size(self.test_size, self.dataset)
        entry = posteriors.get(self.posterior)
        _check_only_read(self, entry)
        _check_samples(self, entry)
        most = DENSE_LAYERS[self.which_model]
        if self.quam_layers > most:
            raise ValueError(
                f"quam_layers is {self.quam_layers}; allowed: 1 to {most}, since "
                f"{self.which_model} has {most} dense layers"
            )
        return self


def posterior_defaults() -> dict[str, Any]:
    """`posterior` and the parameters that only some posteriors read, with their defaults.

    Stored protocols and records leave them out where they have these values.
    """
    read = (key for entry in posteriors.posteriors() for key in entry.parameters)
    keys = dict.fromkeys(["posterior", *read])
    return {key: Protocol.model_fields[key].default for key in keys}


def dataset_names() -> tuple[str, ...]:
    """The allowed values of `dataset`, in alphabetical order."""
    return tuple(sorted(DATASETS))


def make_protocol(values: Mapping[str, Any]) -> Protocol:
    """A Protocol from plain values (a database row, a form). Raises ProtocolError."""
    try:
        return Protocol.model_validate(dict(values))
    except ValidationError as error:
        raise ProtocolError(_one_line(error, values)) from None


def override(base: Protocol, settings: Mapping[str, str | Any]) -> Protocol:
    """`base` with some parameters replaced; text is read as YAML (`0.5`, `[0.5, 0.25]`, `all`).

    Raises:
        ProtocolError: the message names the parameter, the value and what is allowed.
    """
    values = base.model_dump()
    for key, value in settings.items():
        if key not in Protocol.model_fields:
            raise ProtocolError(_unknown(key))
        values[key] = _read_setting(key, value, base.dataset) if isinstance(value, str) else value
    return make_protocol(values)


def allowed(key: str, dataset: str) -> str:
    """The values that a parameter may have with this data set, in words."""
    if key == "dataset":
        return ", ".join(dataset_names())
    if key == "posterior":
        return ", ".join(posteriors.names())
    if key == "train_size" and dataset in DATASETS:
        n_classes = DATASETS[dataset].n_classes
        return f"a whole number, at least {n_classes} and a multiple of {n_classes}"
    if key == "val_size":
        return "a whole number, at least 1"
    return _in_words(Protocol.model_json_schema()["properties"][key])


def _check_initial_set(protocol: Protocol) -> None:
    """A balanced set needs a size; the others have none, and may do without validation."""
    p = protocol
    if p.initial_set == "balanced":
        if not p.train_size or p.train_size % DATASETS[p.dataset].n_classes:
            words = allowed("train_size", p.dataset)
            raise ValueError(f"train_size is {p.train_size}; allowed: {words}")
        if not p.val_size:
            raise ValueError(f"val_size is 0; allowed: {allowed('val_size', p.dataset)}")
    elif p.train_size:
        raise ValueError(
            f"train_size is {p.train_size}; allowed: 0, since initial_set is {p.initial_set!r}"
        )
    if not p.val_size and p.weights == "best":
        raise ValueError("weights is 'best'; allowed: last, since val_size is 0")


def _check_test_size(size: int | None, dataset: str) -> None:
    """Require `test_size` if the test images are drawn from the data set, and only then."""
    source = DATASETS[dataset].test_set
    if source == "own" and size is not None:
        raise ValueError(
            f"test_size is {size}; allowed: null, since {dataset} has its own test set"
        )
    if source == "none" and size is not None:
        raise ValueError(f"test_size is {size}; allowed: null, since {dataset} has no test set")
    if source == "drawn" and size is None:
        raise ValueError(
            "test_size is null; "
            f"allowed: a whole number, since {dataset} has no test set of its own"
        )


def _check_only_read(protocol: Protocol, entry: PosteriorEntry) -> None:
    """Refuse a value of a parameter that would change nothing."""
    for key, default in posterior_defaults().items():
        value = getattr(protocol, key)
        if key not in ("posterior", *entry.parameters) and value != default:
            raise ValueError(
                f"{key} is {_plain(value)}; allowed: {_plain(default)}, since posterior "
                f"{entry.name} does not read it"
            )


def _check_samples(protocol: Protocol, entry: PosteriorEntry) -> None:
    n_samples = protocol.num_mc_samples
    if entry.one_sample and n_samples != 1:
        raise ValueError(
            f"num_mc_samples is {n_samples}; allowed: 1, since a {entry.title.lower()} "
            "has no other sample"
        )
    if entry.multiple_of and n_samples % _times(protocol, entry):
        raise ValueError(
            f"num_mc_samples is {n_samples}; allowed: a multiple of {entry.multiple_of}, which is "
            f"{_times(protocol, entry)}"
        )


def _times(protocol: Protocol, entry: PosteriorEntry) -> int:
    """The number of which the number of samples must be a multiple."""
    if entry.multiple_of == "n_classes":
        return DATASETS[protocol.dataset].n_classes
    return int(getattr(protocol, entry.multiple_of))


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _read_setting(key: str, text: str, dataset: str) -> Any:
    """Text as YAML. YAML 1.1 reads `1e-10` as a string; validation makes it a number."""
    try:
        return read_yaml(text, _SETTING)
    except Refused:
        raise ProtocolError(f"{key} is {shown(text)}; allowed: {allowed(key, dataset)}") from None


def _one_line(error: ValidationError, values: Mapping[str, Any]) -> str:
    first = error.errors()[0]
    if not first["loc"]:  # a rule about two parameters, whose message names them
        return str(first["msg"]).removeprefix("Value error, ")
    key = str(first["loc"][0])
    if key not in Protocol.model_fields:
        return _unknown(key)
    dataset = str(values.get("dataset", Protocol.model_fields["dataset"].default))
    return f"{key} is {shown(values[key])}; allowed: {allowed(key, dataset)}"


def _unknown(key: str) -> str:
    return f"parameter {shown(key)} is unknown; allowed: {', '.join(Protocol.model_fields)}"


def _in_words(schema: Mapping[str, Any]) -> str:
    """The allowed values in words, for the parts of JSON Schema that the parameters use."""
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
