"""Makes a data set of what an import has read: labels, statistics, near copies, its facts."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dal_core.atomic import write_atomically
from dal_core.data.base import UNKNOWN, fingerprint
from dal_core.data.own.about import About, write_about
from dal_core.data.own.classes import Classes
from dal_core.data.own.form import IMAGES, LABELS, OFFSETS, SEEN, SETTINGS, Form
from dal_core.data.own.journal import Seen, read_seen
from dal_core.data.own.near import near_copies
from dal_core.data.own.report import Report
from dal_core.data.own.sources import Source
from dal_core.limits.npy import map_array

REPORT = "report.json"
_CHUNK = 2048  # images


def finish(
    folder: Path, source: Source, classes: Classes, name: str, form: Form
) -> tuple[About, Report]:
    """Write what is missing in the folder of an import. Raises OSError."""
    report = Report.of(source, folder, classes)
    taken = [one for one in read_seen(folder / SEEN) if one.is_taken]
    labels, report.contradictions = _labels(taken, report.copies, classes)
    report.n_known = int((labels != UNKNOWN).sum())
    images = np.asarray(map_array(folder / IMAGES))
    hashes = np.array([int(one.bits, 16) for one in taken], dtype=np.uint64)
    report.near = [(taken[a].file, taken[b].file) for a, b in near_copies(hashes, images)]
    save(folder / LABELS, labels)
    save(folder / OFFSETS, np.cumsum([0, *(one.thumbnail for one in taken)], dtype=np.int64))
    write_atomically(folder / REPORT, json.dumps(vars(report), indent=1).encode())
    about = _about(name, source.path, classes.names, form, images, labels)
    write_about(folder, about)
    (folder / SETTINGS).unlink()
    return about, report


def _labels(
    taken: list[Seen], copies: list[tuple[str, str]], classes: Classes
) -> tuple[np.ndarray, list[str]]:
    """(int64 [n], the files whose copies contradict them)."""
    given = {one.file: {classes.labels.get(one.file, UNKNOWN)} for one in taken}
    for copy, first in copies:
        given[first].add(classes.labels.get(copy, UNKNOWN))
    known = {file: labels - {UNKNOWN} for file, labels in given.items()}
    labels = [min(known[one.file]) if len(known[one.file]) == 1 else UNKNOWN for one in taken]
    contradictions = [file for file, found in known.items() if len(found) > 1]
    return np.array(labels, dtype=np.int64), contradictions


def _about(
    name: str,
    source: Path,
    class_names: tuple[str, ...],
    form: Form,
    images: np.ndarray,
    labels: np.ndarray,
) -> About:
    mean, std = pixel_statistics(images)
    known = labels[labels != UNKNOWN]
    return About(
        name=name,
        kind="pictures",
        class_names=class_names,
        image_shape=form.shape,
        n_images=len(labels),
        n_known=len(known),
        n_test=0,
        rarest=int(np.bincount(known, minlength=len(class_names)).min()),
        pixel_mean=mean,
        pixel_std=std,
        fingerprint=fingerprint(images, labels),
        source=str(source.resolve()),
        added_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def pixel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1], to four digits.

    Args:
        images: uint8 [n, H, W], or [n, H, W, 3].
    """
    n_channels = 1 if images.ndim == 3 else images.shape[3]
    counts = np.zeros((n_channels, 256), dtype=np.int64)
    for start in range(0, len(images), _CHUNK):
        pixels = images[start : start + _CHUNK].reshape(-1, n_channels)
        for channel in range(n_channels):
            counts[channel] += np.bincount(pixels[:, channel], minlength=256)
    values = np.arange(256) / 255
    means = counts @ values / counts.sum(1)
    variances = counts @ values**2 / counts.sum(1) - means**2
    stds = np.maximum(np.sqrt(np.maximum(variances, 0)), 0.01)  # a flat channel is not divided by 0
    return tuple(np.round(means, 4).tolist()), tuple(np.round(stds, 4).tolist())


def save(path: Path, array: np.ndarray) -> None:
    """Write an npy file. Raises OSError."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    write_atomically(path, file.getbuffer())
