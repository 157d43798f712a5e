"""Named protocols (presets), and how a protocol differs from the closest one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dal_core.data.catalogue import DATASETS
from dal_core.protocol import posteriors
from dal_core.protocol.parameters import (
    Protocol,
    ProtocolError,
    dataset_names,
    override,
    posterior_defaults,
)

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
        # Gal et al. do not state these; as in the released code.
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
    "quick": "for people: about two seconds per step",
}


def preset(name: str) -> Protocol:
    """The protocol of that name.

    docs/method.md, section 9, lists all presets. `gal2017` is the protocol of Gal et al. (2017);
    parameters that they do not state are as in `released`.

    `quick` is for people and for the 5,000 built-in digits. It trains for 100 epochs at learning
    rate 0.003. It keeps the last weights, so a person needs no labelled validation set and no
    time is spent on validation. The measurements behind it are in results/README.md ("How `quick`
    was chosen").

    Raises:
        ProtocolError: for an unknown name.
    """
    if name not in PRESETS:
        raise ProtocolError(f"protocol is {name!r}; allowed: {', '.join(PRESETS)}")
    return PRESETS[name]


def with_dataset(base: Protocol, dataset: str) -> Protocol:
    """`base` with another data set, and with the split and subset sizes that fit it.

    Raises:
        ProtocolError: for an unknown name.
    """
    if dataset not in DATASETS:
        raise ProtocolError(f"dataset is {dataset!r}; allowed: {', '.join(dataset_names())}")
    if dataset == base.dataset:
        return base
    loader = DATASETS[dataset]
    changes: dict[str, Any] = {"dataset": dataset, "test_size": None, "initial_set": "balanced"}
    # A base that starts without a balanced set, or without validation, has no such sizes.
    train_size, val_size = base.train_size or 20, base.val_size or 1000
    per_class = max(1, round(train_size / loader.n_classes))
    changes["train_size"] = per_class * loader.n_classes
    changes |= loader.protocol_defaults
    changes["val_size"] = min(val_size, changes.get("val_size", val_size))
    return override(base, changes)


def with_posterior(base: Protocol, posterior: str) -> Protocol:
    """`base` with another posterior, its own parameters, and as many samples as it usually has.

    Raises:
        ProtocolError: for an unknown name.
    """
    entry, changes = posteriors.find(posterior), posterior_defaults()
    changes["posterior"] = posterior
    if entry is not None and entry.samples is not None:
        changes["num_mc_samples"] = entry.samples
    return override(base, changes)


@dataclass(frozen=True)
class ForPeople:
    """What people are offered first (results/README.md has the measurements).

    Attributes:
        acquisition: the function that asks.
        posterior: the posterior whose samples it reads.
        n_networks: its number of samples.
    """

    acquisition: str
    posterior: str
    n_networks: int

    def protocol(self, base: Protocol = _QUICK) -> Protocol:
        """`base` with this posterior."""
        with_it = with_posterior(base, self.posterior)
        return override(with_it, {"num_mc_samples": self.n_networks})


def for_people() -> ForPeople:
    """What the start form, and the pages and texts around it, offer first."""
    return ForPeople(acquisition="bald_coverage", posterior="ensemble", n_networks=5)


def describe_briefly(protocol: Protocol) -> str:
    """As `describe_protocol`, with the posterior in words: `quick · 5 networks`."""
    entry = posteriors.find(protocol.posterior)
    if entry is None or protocol.posterior == posteriors.DEFAULT_POSTERIOR:
        return describe_protocol(protocol)
    own = PRESETS[closest_preset(protocol)]
    changes = {"posterior": own.posterior, "num_mc_samples": own.num_mc_samples}
    changes |= {key: getattr(own, key) for key in entry.parameters}
    n, what = protocol.num_mc_samples, entry.row if protocol.num_mc_samples == 1 else entry.rows
    return f"{describe_protocol(override(protocol, changes))} · {entry.title}, {n} {what}"


def closest_preset(protocol: Protocol) -> str:
    """The name of the preset that differs from this protocol in the fewest parameters."""
    return min(PRESETS, key=lambda name: len(_changed(protocol, PRESETS[name])))


def changes_from_preset(protocol: Protocol) -> dict[str, Any]:
    """Parameters (with values) in which a protocol differs from its closest preset."""
    return _changed(protocol, PRESETS[closest_preset(protocol)])


def describe_protocol(protocol: Protocol) -> str:
    """The protocol in words: `quick`, or `quick with n_epochs=50` if it is not a preset."""
    changes = changes_from_preset(protocol)
    if not changes:
        return closest_preset(protocol)
    listed = ", ".join(f"{key}={_plain(value)}" for key, value in changes.items())
    return f"{closest_preset(protocol)} with {listed}"


def _changed(one: Protocol, other: Protocol) -> dict[str, Any]:
    values = {key: getattr(one, key) for key in Protocol.model_fields}
    return {key: value for key, value in values.items() if value != getattr(other, key)}


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value)
