"""The catalogue of data sets: find, load, verify and fetch by name. Only `fetch` downloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from dal_core.data.base import DataCorrupt, ImageDataset, Loader, Progress
from dal_core.data.own import loading, place

_MACHINERY = {
    *("__init__", "base", "catalogue", "image_cache"),
    *("mnist_download", "mnist_drawing", "torchvision_ops"),
}
_LOADERS: dict[str, Loader] = {}


class _Catalogue(Mapping[str, Loader]):
    """The registered loaders, then those of the home's own data sets that are not damaged."""

    def __getitem__(self, name: str) -> Loader:
        if name in _LOADERS:
            return _LOADERS[name]
        loader = loading.find_loader(place.home(), name) if isinstance(name, str) else None
        if loader is None:
            raise KeyError(name)
        return loader

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and self[name] is not None
        except (KeyError, DataCorrupt):
            return False

    def __iter__(self) -> Iterator[str]:
        yield from _LOADERS
        yield from (loader.name for loader in loading.readable(place.home()))

    def __len__(self) -> int:
        return sum(1 for _ in self)


DATASETS: Mapping[str, Loader] = _Catalogue()
"""All loaders by name: the registered ones in their order, then a person's own in the home."""


def register(loader: Loader) -> None:
    """Add a data set to the catalogue. Raises ValueError if the name is taken."""
    if loader.name in _LOADERS:
        raise ValueError(f"data set {loader.name!r} is already registered")
    _LOADERS[loader.name] = loader


def unregister(name: str) -> None:
    """Remove a data set from the catalogue. Raises ValueError for an unknown name."""
    if name not in _LOADERS:
        raise ValueError(f"unknown data set {name!r}: registered are {', '.join(_LOADERS)}")
    del _LOADERS[name]


def get(name: str) -> Loader:
    """The loader of a data set. Raises ValueError for an unknown name, DataCorrupt for damage."""
    try:
        return DATASETS[name]
    except KeyError:
        allowed = ", ".join(DATASETS)
        raise ValueError(f"unknown data set {name!r}: allowed are {allowed}") from None


def load(name: str, data_dir: Path | None = None) -> ImageDataset:
    """Read a data set into memory.

    Args:
        name: A key of `DATASETS`.
        data_dir: The only folder to look in; by default `data/`, then `$DAL_DATA`.

    Raises:
        ValueError: The name is unknown.
        DataMissing: The files are missing; the message says how to get them.
        DataCorrupt: A file is incomplete or has wrong contents, or the data set contradicts its
            loader.
    """
    loader = get(name)
    dataset = loader.load(data_dir)
    for fact in ("name", "class_names", "noun", "image_shape", "pixel_mean", "pixel_std"):
        found, declared = getattr(dataset, fact), getattr(loader, fact)
        if found != declared:
            raise DataCorrupt(f"{name}: {fact} is {found!r}; its loader declares {declared!r}")
    return dataset


def find(name: str, data_dir: Path | None = None) -> Path | None:
    """The first place with files of the data set (complete or not), or None."""
    return get(name).find(data_dir)


def verify(name: str, data_dir: Path | None = None) -> str:
    """Read everything and compare it with the published data; returns one line.

    Raises:
        ValueError: The name is unknown.
        DataError: Files are missing or differ from the published ones.
    """
    return get(name).verify(data_dir)


def fetch(name: str, data_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """Download a data set unless it is already complete.

    Args:
        name: A key of `DATASETS`.
        data_dir: The folder to put it into; by default `data/`.
        progress: Called with (file name, bytes done, bytes in all) while downloading.

    Returns:
        Where the data set is.

    Raises:
        ValueError: The name is unknown.
        DownloadFailed: The download failed; the files on disk are unchanged.
    """
    return get(name).fetch(data_dir, progress)


def _register_all() -> None:
    """Register the `LOADER` of every other module here, the one that needs no download first."""
    found = {path.stem for path in Path(__file__).parent.glob("*.py")} - _MACHINERY
    for name in sorted(found, key=lambda name: (name != "mnist5k", name)):
        register(import_module(f"{__package__}.{name}").LOADER)


_register_all()
