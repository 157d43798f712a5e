"""Parses the values of options. A bad value raises WrongUse with option, value and what is allowed.

`dal_core.protocol` checks parameters; here its messages are prefixed with the option.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dal_core.acquisition import registry
from dal_core.cli.errors import WrongUse
from dal_core.data.catalogue import DATASETS
from dal_core.limits.paths import given_path
from dal_core.limits.refused import Refused
from dal_core.limits.text import clean_title, shown, visible
from dal_core.protocol import posteriors
from dal_core.protocol.parameters import Protocol, ProtocolError, override
from dal_core.protocol.presets import PRESETS, with_posterior
from dal_core.protocol.presets import with_dataset as on_dataset
from dal_core.protocol.typed import parse_seeds, parse_settings
from dal_core.run.rows import RunNotFound, RunRow, StoreError
from dal_core.store import opening
from dal_core.store.base import Store
from dal_core.store.home import default_home
from dal_core.training.device import DEVICES, choose_device

MAX_SEEDS = 1000  # pages allow fewer, since they show every run


def one_of(option: str, text: str, allowed: Sequence[str]) -> str:
    """`text`, if it is one of `allowed`."""
    if text not in allowed:
        raise WrongUse(f"{option} is {shown(text)}; allowed: {', '.join(allowed)}")
    return text


def acquisition(text: str) -> str:
    """The name of an acquisition function."""
    return one_of("--acquisition", text, registry.names())


def dataset(text: str, option: str = "--dataset") -> str:
    """The name of a data set."""
    return one_of(option, text, tuple(DATASETS))


def whole_number(option: str, text: str, least: int, most: int) -> int:
    """A whole number from `least` to `most`, in plain digits."""
    plain = text.isascii() and text.isdigit()
    # The length is checked first, because int() refuses thousands of digits.
    if not plain or len(text) > 20 or not least <= int(text) <= most:
        raise WrongUse(f"{option} is {shown(text)}; allowed: a whole number from {least} to {most}")
    return int(text)


def several(option: str, text: str) -> list[str]:
    """The parts of a comma-separated list: at least one, without repeats."""
    parts = [part.strip() for part in text.split(",")]
    twice = [part for place, part in enumerate(parts) if part in parts[:place]]
    if not all(parts) or twice:
        fault = f"{shown(twice[0])} twice" if twice else "an empty place"
        raise WrongUse(f"{option} is {shown(text)}, with {fault}; allowed: A or A,B,..., each once")
    return parts


def accuracy(option: str, text: str) -> float:
    """A fraction above 0, at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= 1:
        raise WrongUse(f"{option} is {shown(text)}; allowed: a number above 0, at most 1")
    return value


def noise(text: str) -> float:
    """The probability of a wrong answer, 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise WrongUse(f"--noise is {shown(text)}; allowed: a probability from 0 to 1")
    return value


def protocol(
    preset: str,
    dataset_name: str | None,
    settings: Sequence[str],
    own: Protocol | None = None,
    posterior_name: str | None = None,
) -> Protocol:
    """The preset, or `own` if given, with the data set, posterior and settings applied.

    Raises:
        WrongUse: an unknown preset, data set or parameter, or a value out of range.
    """
    chosen = own or PRESETS[one_of("--protocol", preset, tuple(PRESETS))]
    if dataset_name is not None:
        chosen = on_dataset(chosen, dataset(dataset_name))
    if posterior_name is not None:
        chosen = with_posterior(chosen, one_of("--posterior", posterior_name, posteriors.names()))
    with named("--set"):
        return override(chosen, parse_settings(settings))


def seeds(text: str) -> tuple[int, ...]:
    """Seeds such as 1,2,3 or 1-10."""
    try:
        return parse_seeds(text, at_most=MAX_SEEDS)
    except ProtocolError as error:
        raise WrongUse(f"--{error}") from None


def device(text: str | None) -> str:
    """The device of `--device`, with `auto` resolved. PyTorch is imported only if needed."""
    name = one_of("--device", text or "cpu", DEVICES)
    if name == "cpu":
        return name
    try:
        return choose_device(name).type
    except ValueError as error:
        raise WrongUse(f"--{error}") from None


def path(option: str, text: str) -> Path:
    """A path, with a leading `~` expanded."""
    try:
        return given_path(text, option)
    except Refused as error:
        raise WrongUse(str(error)) from None


def title(text: str) -> str:
    """The title of `--title`; blank text means no title."""
    try:
        return clean_title(text)
    except ValueError as error:
        raise WrongUse(f"--{error}") from None


@contextmanager
def named(option: str) -> Iterator[None]:
    """Turn a ProtocolError raised in the block into a WrongUse that names the option."""
    try:
        yield
    except ProtocolError as error:
        raise WrongUse(f"{option}: {error}") from None


def open_store(home: Path | None, *, create: bool) -> Store:
    """The store in `--home`, `$DAL_HOME` or `runs`."""
    try:
        store = opening.open_store(home or default_home(), create)
        if store.read_only and create:
            raise StoreError(f"{store.home} is read-only")
    except StoreError as error:
        option = "--home" if home else "home (--home or DAL_HOME)"
        allowed = "a folder that can be written to" if create else "a folder with runs"
        raise WrongUse(f"{option}: {error}; allowed: {allowed}") from None
    if store.damage is not None:
        print(f"dal: {visible(store.damage)}", file=sys.stderr)
    if store.read_only:
        print(
            f"dal: {store.home} is read-only; it can be read, nothing is changed", file=sys.stderr
        )
    return store


def find_run(store: Store, text: str, option: str = "RUN") -> RunRow:
    """The run whose id is `text`, or the only one whose id starts with it.

    Raises:
        WrongUse: there is no such run.
        RunDamaged: the run cannot be read.
    """
    return store.run(find_run_id(store, text, option))


def find_run_id(store: Store, text: str, option: str = "RUN") -> str:
    """The id of the run that `text` names, as in `find_run`; the run may be damaged."""
    ids = store.run_ids()
    found = by_start(option, text, ids, "runs")
    if found is not None:
        return found
    try:
        return store.run(text).run_id
    except RunNotFound as error:
        raise WrongUse(f"{option} is {shown(text)}; {error}") from None


def by_start(option: str, text: str, ids: Iterable[str], what: str) -> str | None:
    """The id that equals `text`, or the only one that starts with it; None if there is none.

    Raises:
        WrongUse: several ids start with it.
    """
    matches = [one for one in ids if text and one.startswith(text)]
    if text in matches or len(matches) == 1:
        return text if text in matches else matches[0]
    if matches:
        listed = ", ".join(matches[:5])
        raise WrongUse(f"{option} is {shown(text)}; {len(matches)} {what} start with it: {listed}")
    return None
