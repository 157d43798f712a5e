"""Options as text to values; a wrong one raises WrongUse with option, value and what is allowed.

What a parameter of the protocol may be is decided in `protocol`; here its message is only told
which option it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dal_core.acquisition import registry
from dal_core.cli.errors import WrongUse
from dal_core.data.catalogue import DATASETS
from dal_core.protocol.parameters import Protocol, ProtocolError, override
from dal_core.protocol.presets import PRESETS
from dal_core.protocol.presets import with_dataset as on_dataset
from dal_core.run.rows import RunNotFound, RunRow, StoreError
from dal_core.store import opening
from dal_core.store.base import Store
from dal_core.store.home import default_home
from dal_core.training.device import DEVICES, choose_device


def one_of(option: str, text: str, allowed: Sequence[str]) -> str:
    """`text` if it is among the allowed."""
    if text not in allowed:
        raise WrongUse(f"{option} is {text!r}; allowed: {', '.join(allowed)}")
    return text


def acquisition(text: str) -> str:
    """Name of an acquisition function."""
    return one_of("--acquisition", text, registry.names())


def dataset(text: str, option: str = "--dataset") -> str:
    """Name of a data set."""
    return one_of(option, text, tuple(DATASETS))


def whole_number(option: str, text: str, least: int, most: int) -> int:
    """A whole number in plain digits, `least` to `most`."""
    plain = text.isascii() and text.isdigit()
    # Length first: Python refuses to read numbers of thousands of digits.
    if not plain or len(text) > 20 or not least <= int(text) <= most:
        raise WrongUse(f"{option} is {text!r}; allowed: a whole number from {least} to {most}")
    return int(text)


def several(option: str, text: str) -> list[str]:
    """The parts of a list with commas, at least one and none twice."""
    parts = [part.strip() for part in text.split(",")]
    twice = [part for place, part in enumerate(parts) if part in parts[:place]]
    if not all(parts) or twice:
        what = f"{twice[0]!r} twice" if twice else "an empty place"
        raise WrongUse(f"{option} is {text!r}, with {what}; allowed: A or A,B,..., each once")
    return parts


def accuracy(option: str, text: str) -> float:
    """A fraction above 0, at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= 1:
        raise WrongUse(f"{option} is {text!r}; allowed: a number above 0, at most 1")
    return value


def noise(text: str) -> float:
    """A probability."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise WrongUse(f"--noise is {text!r}; allowed: a probability from 0 to 1")
    return value


def protocol(
    preset: str,
    dataset_name: str | None,
    settings: Sequence[str],
    own: Protocol | None = None,
) -> Protocol:
    """The preset (or `own`), on another data set if asked for, with single parameters changed."""
    chosen = own or PRESETS[one_of("--protocol", preset, tuple(PRESETS))]
    if dataset_name is not None:
        chosen = on_dataset(chosen, dataset(dataset_name))
    with named("--set"):
        return override(chosen, settings_of(settings))


def settings_of(texts: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE texts by key."""
    return dict(_setting(text) for text in texts)


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise WrongUse(f"--set is {text!r}; allowed: KEY=VALUE, such as n_epochs=50")
    return key.strip(), value.strip()


def device(text: str | None) -> str:
    """`--device` as what is there: `auto` is looked up. PyTorch is asked only where it must be."""
    name = one_of("--device", text or "cpu", DEVICES)
    if name == "cpu":
        return name
    try:
        return choose_device(name).type
    except ValueError as error:
        raise WrongUse(f"--{error}") from None


@contextmanager
def named(option: str) -> Iterator[None]:
    """A protocol's complaint inside the `with` names the option that it came from."""
    try:
        yield
    except ProtocolError as error:
        raise WrongUse(f"{option}: {error}") from None


def open_store(home: Path | None, *, create: bool) -> Store:
    """The store in `--home`, `$DAL_HOME` or `runs`."""
    try:
        return opening.open_store(home or default_home(), create)
    except StoreError as error:
        option = "--home" if home else "home (--home or DAL_HOME)"
        allowed = "a folder that can be written to" if create else "a folder with runs"
        raise WrongUse(f"{option}: {error}; allowed: {allowed}") from None


def find_run(store: Store, text: str, option: str = "RUN") -> RunRow:
    """The run whose id is `text`, or the only one whose id begins so."""
    alike = [run for run in store.runs() if text and run.run_id.startswith(text)]
    exact = [run for run in alike if run.run_id == text]
    if len(exact or alike) == 1:
        return (exact or alike)[0]
    if alike:
        ids = ", ".join(run.run_id for run in alike[:5])
        raise WrongUse(f"{option} is {text!r}; {len(alike)} runs begin so: {ids}")
    try:
        return store.run(text)
    except RunNotFound as error:
        raise WrongUse(f"{option} is {text!r}; {error}") from None
