"""Charts of data sets with any classes, and colours that mean one function on every chart."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from dal_core.explain.parts import parts_of
from dal_core.figures.batches import batches_data, batches_figure
from dal_core.figures.choices import balance_figure
from dal_core.figures.classes import Classes
from dal_core.figures.examples import examples_data, examples_figure
from dal_core.figures.history import confusion_figure, steps_figure
from dal_core.figures.learning import learning_curve
from dal_core.figures.passes import passes_spec
from dal_core.figures.png import thumbnail
from dal_core.figures.pool_map import CLASS, pool_map_spec
from dal_core.figures.score_breakdown import breakdown_spec
from dal_core.results.curves import RunCurve
from dal_core.results.titles import PRIMARY, colour
from tests import toys
from tests.figures.test_explain_figures import drawn

SIGNS = Classes(toys.CLASS_NAMES, toys.NOUN)


def run(acquisition: str, seed: int = 1) -> RunCurve:
    return RunCurve(acquisition, seed, (20, 30), (0.5, 0.6), (0.1, 0.1))


def test_the_classes_of_a_data_set_are_its_own() -> None:
    assert Classes.of(toys.dataset()) == SIGNS
    assert SIGNS.named([0, 2, -1]) == ["stop", "go", "unknown"]
    assert SIGNS.title == "Sign"


@pytest.mark.parametrize("n", [1, 2, 10, 11, 43, 100])
def test_every_class_has_a_colour_of_its_own(n: int) -> None:
    classes = Classes(tuple(map(str, range(n))))
    colours = classes.colours()
    assert len(set(colours)) == len(colours) == n
    assert all(len(one) == 7 and one.startswith("#") for one in colours)
    assert colours == classes.colours()


@pytest.mark.parametrize(
    "classes", [SIGNS, Classes(tuple(f"class {n}" for n in range(43)), "sign")]
)
def test_the_charts_of_one_image_name_the_classes(classes: Classes) -> None:
    logits = torch.randn(5, len(classes), generator=torch.Generator().manual_seed(3))
    parts = parts_of(torch.softmax(2 * logits, -1))
    for spec in (passes_spec(parts, classes), breakdown_spec(parts, classes)):
        text = drawn(spec)
        assert classes.names[1] in text
        assert "digit" not in text.lower()


def test_charts_of_colour_images_and_unknown_labels() -> None:
    dataset = toys.dataset(toys.PARTLY)
    unknown = int(np.flatnonzero(dataset.labels < 0)[0])
    chosen = {"bald": (1, unknown), "random": (1, 2)}
    gains = {"bald": (0.7, 0.6), "random": (0.9, 0.8)}
    assert "unknown" in set(batches_data(dataset, chosen, gains)["class"])
    assert drawn(batches_figure(dataset, chosen, gains).to_dict()).count("<image ") == 4
    data = examples_data(dataset)
    assert len(data) == 30
    assert set(data.label) == set(toys.CLASS_NAMES)
    assert drawn(examples_figure(dataset).to_dict()).count("<image ") == 30


def test_the_map_of_a_data_set_with_unknown_classes() -> None:
    dataset = toys.dataset(toys.PARTLY)
    unknown = int(np.flatnonzero(dataset.labels < 0)[0])
    ids = [0, 1, 2, unknown]
    points = pd.DataFrame(
        {
            "image_id": ids,
            "x": [0.0, 1.0, 2.0, 3.0],
            "y": [0.0, 2.0, 1.0, 3.0],
            "step": [-1, 0, 1, -2],
            "skipped": False,
            "class": SIGNS.named(dataset.labels[ids]),
            "said": "",
            "image": [thumbnail(dataset.images[i]) for i in ids],
        }
    )
    text = drawn({**pool_map_spec(points, CLASS, 1, SIGNS), "width": 300})
    assert all(name in text for name in (*SIGNS.names, "unknown"))


def test_a_confusion_and_a_balance_name_the_classes() -> None:
    figure = confusion_figure(((3, 1, 0), (0, 2, 0), (1, 0, 5)), SIGNS)
    assert "yield" in drawn(figure.properties(width=200).to_dict())
    balance = balance_figure({"bald": np.array([1, 2, 3])}, SIGNS)
    assert "yield" in drawn(balance.properties(width=200).to_dict())


# -- one colour a function ---------------------------------------------------------------------


def colours(chart: object) -> dict[str, str]:
    """Colour by series."""
    found: dict[str, str] = {}

    def walk(part: object) -> None:
        if isinstance(part, dict):
            encoding = part.get("color", {})
            if isinstance(encoding, dict) and "scale" in encoding:
                scale = encoding["scale"]
                found.update(zip(scale["domain"], scale["range"], strict=True))
            for inner in part.values():
                walk(inner)
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    walk(json.loads(chart.to_json()))  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("name", ["bald", "max_entropy", "mean_std"])
def test_a_function_has_one_colour_while_labelling_and_in_replay(name: str) -> None:
    labelling = colours(learning_curve(run(name), [run("random")]))
    assert colour(name) in labelling.values()
    assert labelling["random"] == colour("random")
    replay = colours(steps_figure({"this": run(name), "beside": run("random")}, 20))
    assert replay == {"this": colour(name), "beside": colour("random")}


def test_a_random_run_differs_from_the_random_baseline() -> None:
    shown = colours(learning_curve(run("random"), [run("random", 2)]))
    assert shown == {"this run (Random)": PRIMARY, "random": colour("random")}


def test_two_runs_of_one_function_differ_in_their_dashes() -> None:
    chart = steps_figure({"a": run("bald", 1), "b": run("random"), "c": run("bald", 2)}, 20)
    (line,) = [
        layer["encoding"]["strokeDash"]["scale"]["range"]
        for layer in chart.to_dict()["layer"]
        if "strokeDash" in layer["encoding"]
    ]
    assert line[0] == line[1] != line[2]


# -- plain data --------------------------------------------------------------------------------


def test_what_draws_and_what_is_pure_state_leaves_torch_unimported() -> None:
    code = """
import importlib, pkgutil, sys
for name in ("dal_core.figures", "dal_core.protocol", "dal_core.run"):
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{name}.{module.name}")
for name in ("dal_core.acquisition.registry", "dal_core.data.catalogue"):
    importlib.import_module(name)
from dal_core.acquisition import registry
registry.names()
sys.exit("torch is imported" if "torch" in sys.modules else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
