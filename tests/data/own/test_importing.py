"""A folder or zip of pictures becomes a data set of the home, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dal_core.data import catalogue
from dal_core.data.base import UNKNOWN, DataCorrupt, DataError
from dal_core.data.own import importing, place, sources
from dal_core.data.own.about import ABOUT
from dal_core.data.own.files import file_names, thumbnail
from dal_core.data.own.form import IMAGES
from dal_core.data.own.importing import Wanted, add
from dal_core.data.own.report import Report
from tests.data.own.folders import (
    COLOURS,
    by_class,
    coloured,
    encoded,
    flat,
    png_of,
    smooth,
    zipped,
)

NAMES = tuple(sorted(COLOURS))


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of change of every file."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_sub_folders_are_the_classes_of_what_is_labelled_already(
    tmp_path: Path, dal_home: Path
) -> None:
    folder = by_class(tmp_path / "in")
    before = tree(folder)
    about, report = add(dal_home, folder, Wanted("colours"))
    assert tree(folder) == before
    assert (about.class_names, report.n_taken, report.n_known) == (NAMES, 12, 12)
    assert about.image_shape == (64, 64, 3)
    data = catalogue.load("colours")
    assert data.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    strongest = data.images.mean((1, 2)).argmax(1)
    assert [("red", "green", "blue")[i] for i in strongest] == [
        data.class_name(label) for label in data.labels
    ]
    assert data.fingerprint == about.fingerprint
    assert "12 images" in catalogue.verify("colours")
    assert data.pixel_mean == pytest.approx((data.images / 255).mean((0, 1, 2)), abs=1e-4)
    assert data.pixel_std == pytest.approx((data.images / 255).std((0, 1, 2)), abs=1e-4)


def test_a_folder_without_labels_needs_named_classes(tmp_path: Path, dal_home: Path) -> None:
    folder = flat(tmp_path / "in")
    with pytest.raises(DataError, match=r"there are 0 classes.*2 to 100; name them with --classes"):
        add(dal_home, folder, Wanted("colours"))
    about, report = add(dal_home, folder, Wanted("colours", ("red", "green", "blue")))
    assert (report.n_taken, report.n_known, about.class_names) == (12, 0, ("red", "green", "blue"))
    data = catalogue.load("colours")
    assert set(data.labels.tolist()) == {UNKNOWN}
    assert catalogue.get("colours").test_set == "none"


def test_folders_that_are_no_named_class_have_pictures_without_a_label(
    tmp_path: Path, dal_home: Path
) -> None:
    _, report = add(dal_home, by_class(tmp_path / "in"), Wanted("two", ("red", "blue")))
    assert (report.n_taken, report.n_known) == (12, 8)


def test_size_and_channels_follow_the_pictures_unless_they_are_given(
    tmp_path: Path, dal_home: Path
) -> None:
    folder = tmp_path / "in"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            grey = coloured("red", number, (30, 28)).convert("L")
            grey.save(folder / name / f"{name}{number}.jpg")
    assert add(dal_home, folder, Wanted("one"))[0].image_shape == (32, 32)
    assert add(dal_home, folder, Wanted("two", size=28))[0].image_shape == (28, 28)
    assert add(dal_home, folder, Wanted("three", channels=3))[0].image_shape == (32, 32, 3)


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    """Two classes, and one of each kind that real folders hold."""
    folder = tmp_path / "dirty"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    files: dict[str, bytes] = {
        "a/fine.png": encoded(coloured("red", 1)),
        "a/letter.jpg": b"Dear Sir,\n",
        "a/cut.jpg": encoded(coloured("red", 2), "JPEG")[:700],
        "a/bomb.png": png_of(30_000, 30_000),
        "a/dot.png": encoded(Image.new("RGB", (1, 1))),
        "a/empty.png": b"",
        "a/notes.txt": b"two more to come",
        "a/nothing.png": encoded(Image.new("RGBA", (9, 9))),
        "a/.hidden.png": encoded(coloured("red", 3)),
        "b/copy.png": encoded(coloured("red", 1)),
        "b/inks.jpg": encoded(coloured("blue", 4).convert("CMYK"), "JPEG"),
        "b/no-suffix": encoded(coloured("blue", 5)),
        "b/resaved.jpg": encoded(smooth(6, 600), "JPEG"),
        "b/resaved.png": encoded(smooth(6, 90)),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    os.symlink("/etc/hostname", folder / "a" / "link.png")
    os.symlink(folder / "b", folder / "c")
    os.mkfifo(folder / "a" / "pipe.png")
    return folder


def test_everything_that_is_not_taken_is_named_with_its_reason(dirty: Path, dal_home: Path) -> None:
    about, report = add(dal_home, dirty, Wanted("dirty"))
    assert about.class_names == ("a", "b")
    assert {name: why.split(" (")[0].split(";")[0] for name, why in report.refused} == {
        "a/letter.jpg": "is not a picture of a known kind",
        "a/cut.jpg": "is damaged or cut off",
        "a/bomb.png": "has more than 178 million pixels",
        "a/dot.png": "is 1 x 1 pixels",
        "a/empty.png": "is empty",
        "a/notes.txt": "does not end like a picture's name",
        "a/nothing.png": "is wholly transparent",
        "a/link.png": "is a link out of the folder, to a folder or to nothing",
        "a/pipe.png": "is not a file",
        "c": "is a link out of the folder, to a folder or to nothing",
    }
    assert report.copies == [("b/copy.png", "a/fine.png")]
    assert report.contradictions == ["a/fine.png"]
    assert report.near == [("b/resaved.jpg", "b/resaved.png")]
    data = catalogue.load("dirty")
    assert data.labels.tolist() == [UNKNOWN, 1, 1, 1, 1]


def test_a_zip_gives_the_same_data_set_as_its_folder(tmp_path: Path, dal_home: Path) -> None:
    folder = by_class(tmp_path / "in")
    files = {str(p.relative_to(tmp_path)): p.read_bytes() for p in folder.rglob("*.png")}
    one, _ = add(dal_home, folder, Wanted("folder"))
    other, report = add(dal_home, zipped(tmp_path / "in.zip", files), Wanted("zip"))
    assert (one.fingerprint, one.class_names) == (other.fingerprint, other.class_names)
    assert not report.refused


def test_an_archive_cannot_lead_out_of_itself(tmp_path: Path, dal_home: Path) -> None:
    picture = encoded(coloured("red", 1))
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../up.png", "/top.png", "a/../../b.png", "C:/x.png", "a\\..\\x.png"):
            archive.writestr(name, picture)
        link = zipfile.ZipInfo("a/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a/one.png", picture)
        archive.writestr("b/two.png", encoded(coloured("blue", 2)))
    before = set(tmp_path.rglob("*"))
    _, report = add(dal_home, path, Wanted("zip"))
    assert report.n_taken == 2 and len(report.refused) == 6
    assert set(tmp_path.rglob("*")) == before


def test_an_archive_that_unpacks_into_far_more_than_it_holds_is_refused(
    tmp_path: Path, dal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_UNPACKED_AT_LEAST", 1_000_000)
    path = zipped(tmp_path / "bomb.zip", {"a/1.png": bytes(3_000_000), "b/2.png": b"x"})
    with pytest.raises(DataError, match=r"unpacks into 0.0 GB; allowed: 0.0 GB"):
        add(dal_home, path, Wanted("bomb"))


def test_a_member_that_is_larger_than_it_says_is_not_taken(tmp_path: Path, dal_home: Path) -> None:
    files = {f"b/{i}.png": encoded(coloured("red", i)) for i in (1, 2)}
    files["a/1.png"] = bytes(50_000)
    path = zipped(tmp_path / "lie.zip", files)
    content = path.read_bytes()
    path.write_bytes(content.replace((50_000).to_bytes(4, "little"), (900).to_bytes(4, "little")))
    _, report = add(dal_home, path, Wanted("lie", ("a", "b")))
    assert report.n_taken == 2 and [name for name, _ in report.refused] == ["a/1.png"]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_labels_are_read_from_a_file_among_the_pictures(
    tmp_path: Path, dal_home: Path, name: str
) -> None:
    folder = flat(tmp_path / "in", n=2)
    rows = [(f"{i:03}-{colour}.png", colour) for i in range(2) for colour in COLOURS]
    rows[-1] = ("missing.png", "blue")
    if name.endswith("csv"):
        text = "file_name,label\n" + "".join(f"{file},{label}\n" for file, label in rows)
    else:
        text = "".join(json.dumps({"file_name": f, "label": c}) + "\n" for f, c in rows)
    (folder / name).write_text(text)
    about, report = add(dal_home, folder, Wanted("colours"))
    assert (about.class_names, report.n_taken, report.n_known) == (NAMES, 6, 5)
    assert not report.refused
    (unused,) = report.unused
    assert unused[0] == "missing.png" and "but is not there" in unused[1]


def test_a_label_that_is_no_named_class_is_refused_with_its_line(
    tmp_path: Path, dal_home: Path
) -> None:
    folder = flat(tmp_path / "in", n=1)
    labels = tmp_path / "labels.csv"
    labels.write_text("file_name,label\n000-red.png,red\n000-blue.png,bleu\n")
    wanted = Wanted("colours", ("red", "blue"), labels)
    with pytest.raises(DataError, match=r"labels\.csv: line 3 has 'bleu'; allowed: red, blue"):
        add(dal_home, folder, wanted)
    assert not (dal_home / place.FOLDER).exists()


def test_label_studio_tasks_label_the_files_they_name(tmp_path: Path, dal_home: Path) -> None:
    folder = flat(tmp_path / "in", n=2)

    def task(image: str, *choices: str) -> dict[str, object]:
        results = [
            {"result": [{"type": "choices", "value": {"choices": [one]}}], "was_cancelled": False}
            for one in choices
        ]
        return {"data": {"image": image}, "annotations": results}

    tasks = [
        task("/data/upload/3/0f1e2d3c-000-red.png", "red"),
        task("/data/local-files/?d=000-blue.png", "blue"),
        task("https://example.org/x/001-red.png?y=1", "red"),
        task("000-green.png", "green", "blue"),
        {"image": "001-blue.png", "choice": "blue"},
    ]
    labels = tmp_path / "tasks.json"
    labels.write_text(json.dumps(tasks))
    _, report = add(dal_home, folder, Wanted("colours", ("red", "green", "blue"), labels))
    assert (report.n_known, report.unused) == (4, [])
    data = catalogue.load("colours")
    # In the order of the names: 000-blue, 000-green, 000-red, 001-blue, 001-green, 001-red.
    assert data.labels.tolist() == [2, UNKNOWN, 0, 2, UNKNOWN, 0]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("l.csv", b"file,label\na,b\n", "line 2 has 'file', 'label'; allowed: file_name and label"),
        ("l.csv", b'file_name,label\n"a,b\n', "line 2 is not CSV"),
        ("l.csv", b"file_name,label\n\xff,b\n", "is not text in UTF-8"),
        ("l.jsonl", b'{"file_name": "000-red.png", "label": 1.5}\n', "label is 1.5; allowed: text"),
        ("l.jsonl", b"[1]\n", "line 1 is .1.; allowed: an object"),
        ("l.json", b'{"data": 1}', "it is not a list"),
        ("l.json", b'[{"data": {"text": "x"}}]', "task 1 has no image"),
        ("l.json", b"[" * 5000, "nested too deeply|Expecting"),
        ("l.parquet", b"PAR1", "labels are read from .csv"),
        (
            "l.csv",
            b"file_name,label\n000-red.png,red\n000-red.png,blue\n",
            "line 3 calls '000-red.png' 'blue', and line 2 'red'; allowed: one label",
        ),
    ],
)
def test_labels_that_cannot_be_read_are_refused_in_one_line(
    tmp_path: Path, dal_home: Path, name: str, content: bytes, why: str
) -> None:
    folder, labels = flat(tmp_path / "in", n=1), tmp_path / name
    labels.write_bytes(content)
    with pytest.raises(DataError, match=why) as refused:
        add(dal_home, folder, Wanted("colours", ("red", "blue"), labels))
    assert "\n" not in str(refused.value) and name in str(refused.value)
    assert "colours" not in catalogue.DATASETS


def count_reads(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[str]:
    """The files that are decoded from now on; the process 'is stopped' at the given one."""
    read: list[str] = []
    inner: Callable[..., None] = importing._read_one

    def counted(source: object, entry: sources.Entry, *rest: object) -> None:
        if len(read) == stop_at:
            raise KeyboardInterrupt
        read.append(entry.name)
        inner(source, entry, *rest)

    monkeypatch.setattr(importing, "_read_one", counted)
    return read


def test_an_import_that_was_stopped_goes_on_where_it_was(
    tmp_path: Path, dal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = by_class(tmp_path / "in")
    whole, _ = add(dal_home, folder, Wanted("whole"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        count_reads(patch, stop_at=5)
        add(dal_home, folder, Wanted("colours"))
    assert "colours" not in catalogue.DATASETS
    with monkeypatch.context() as patch:
        read = count_reads(patch)
        about, _ = add(dal_home, folder, Wanted("colours"))
    assert len(read) == 7
    assert about.fingerprint == whole.fingerprint
    assert not place.partial_of(dal_home, "colours").exists()


def test_what_was_lost_of_a_stopped_import_is_read_again(
    tmp_path: Path, dal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = by_class(tmp_path / "in")
    whole, _ = add(dal_home, folder, Wanted("whole"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        count_reads(patch, stop_at=8)
        add(dal_home, folder, Wanted("colours"))
    pixels = place.partial_of(dal_home, "colours") / IMAGES
    os.truncate(pixels, pixels.stat().st_size - 64 * 64 * 3 * 2 - 5)  # as after a power cut
    (folder / "blue" / "001.png").touch()  # changed since, so it and what follows is read again
    with monkeypatch.context() as patch:
        read = count_reads(patch)
        about, _ = add(dal_home, folder, Wanted("colours"))
    assert len(read) == 11
    assert about.fingerprint == whole.fingerprint


def test_one_import_under_a_name_at_a_time(tmp_path: Path, dal_home: Path) -> None:
    folder = by_class(tmp_path / "in")
    with (
        place.importing(dal_home, "colours"),
        pytest.raises(place.DataBusy, match="is being imported by another process"),
    ):
        add(dal_home, folder, Wanted("colours"))


@pytest.mark.parametrize("name", ["", "Birds", "../x", "a b", ".x", "x" * 41, "mnist"])
def test_a_name_that_cannot_be_used_is_refused(tmp_path: Path, dal_home: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"name is .*; allowed: "):
        add(dal_home, by_class(tmp_path / "in"), Wanted(name))


def test_a_name_is_used_once(tmp_path: Path, dal_home: Path) -> None:
    folder = by_class(tmp_path / "in")
    about, _ = add(dal_home, folder, Wanted("colours"))
    with pytest.raises(DataError, match="which exists; `dal data remove colours` removes it"):
        add(dal_home, folder, Wanted("colours", size=28))
    assert catalogue.load("colours").fingerprint == about.fingerprint


def test_a_source_without_usable_pictures_leaves_nothing(tmp_path: Path, dal_home: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(DataError, match="has no pictures; allowed: files that end in"):
        add(dal_home, folder, Wanted("none", ("a", "b")))
    (folder / "a.jpg").write_bytes(b"no")
    with pytest.raises(DataError, match="no picture that can be taken: 1 is not a picture"):
        add(dal_home, folder, Wanted("none", ("a", "b")))
    assert not place.partial_of(dal_home, "none").exists()
    with pytest.raises(DataError, match="is not there; allowed: a folder"):
        add(dal_home, tmp_path / "nowhere", Wanted("none", ("a", "b")))
    with pytest.raises(DataError, match="is not a folder or a zip"):
        add(dal_home, folder / "a.jpg", Wanted("none", ("a", "b")))


def test_too_little_space_is_said_before_anything_is_read(
    tmp_path: Path, dal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(DataError, match=r"12 pictures need about 0.0 GB in .* has 0.0 GB left"):
        add(dal_home, by_class(tmp_path / "in"), Wanted("colours"))


def test_a_damaged_data_set_is_left_out_and_named_when_it_is_asked_for(
    tmp_path: Path, dal_home: Path
) -> None:
    folder = by_class(tmp_path / "in")
    for name in ("one", "two"):
        add(dal_home, folder, Wanted(name))
    (dal_home / place.FOLDER / "one" / ABOUT).write_text('{"format": 1, "name": ')
    assert list(catalogue.DATASETS)[-1] == "two" and "one" not in catalogue.DATASETS
    with pytest.raises(DataCorrupt, match=r"about\.json is damaged"):
        catalogue.get("one")
    images = dal_home / place.FOLDER / "two" / IMAGES
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    with pytest.raises(DataCorrupt, match="the pixels or labels changed since they were imported"):
        catalogue.load("two")


def test_thumbnails_and_names_belong_to_the_images(tmp_path: Path, dal_home: Path) -> None:
    folder = by_class(tmp_path / "in")
    add(dal_home, folder, Wanted("colours"))
    names = file_names(dal_home, "colours")
    assert names == [f"{c}/{i:03}.png" for c in NAMES for i in range(4)]
    for image_id in (0, 5, 11):
        with Image.open(folder / names[image_id]) as original:
            small = Image.open(thumbnail(dal_home, "colours", image_id)).convert("L")
            here, there = (np.asarray(one).ravel() for one in (small, original.convert("L")))
            pair = np.corrcoef(here, there)
            assert small.size == original.size and pair[0, 1] > 0.9


def test_the_report_is_stored_with_the_data_set(dirty: Path, dal_home: Path) -> None:
    _, report = add(dal_home, dirty, Wanted("dirty"))
    stored = json.loads((dal_home / place.FOLDER / "dirty" / "report.json").read_text())
    assert stored == json.loads(json.dumps(vars(report)))
    assert Report(**stored).by_reason()[0][1] == ["a/link.png", "c"]
