"""torchvision can be imported with and without its compiled operators."""

from __future__ import annotations

import subprocess
import sys

# Each case needs an interpreter in which torchvision has not been imported yet.
WITHOUT_OPERATORS = """
import torch

def refuse(path):
    raise OSError("not built for this torch")

torch.ops.load_library = refuse
"""
WITH_OPERATORS = """
import torch

for name in ("nms", "qnms"):
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    torch.library.define(f"torchvision::{name}", signature)
"""
IMPORT = """
from dal_core.data import torchvision_ops

defined = []
define = torchvision_ops.define_missing_operators
torchvision_ops.define_missing_operators = lambda: defined.extend(define())
torchvision = torchvision_ops.import_torchvision()
assert torchvision_ops.import_torchvision() is torchvision
assert torchvision.datasets.MNIST and torch.ops.torchvision.nms
print(defined)
"""


def output_of(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_its_compiled_operators_torchvision_alone_cannot_be_imported() -> None:
    program = WITHOUT_OPERATORS + "import torchvision"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "torchvision::nms does not exist" in done.stderr


def test_missing_operators_are_defined_before_the_import() -> None:
    assert output_of(WITHOUT_OPERATORS + IMPORT) == "['nms', 'qnms']"


def test_operators_that_are_there_are_left_alone() -> None:
    assert output_of(WITH_OPERATORS + IMPORT) == "[]"


def test_an_import_that_fails_for_another_reason_says_so() -> None:
    program = """
import sys
from dal_core.data import torchvision_ops

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            raise RuntimeError("the disk is on fire")

sys.meta_path.insert(0, Broken())
try:
    torchvision_ops.import_torchvision()
except RuntimeError as error:
    print(error)
"""
    assert output_of(program) == "the disk is on fire"


def test_data_sets_can_be_listed_without_importing_torch() -> None:
    program = """
import sys
from dal_core.data import catalogue as datasets
print(sorted(datasets.DATASETS), [m for m in ("torch", "torchvision") if m in sys.modules])
"""
    assert output_of(program) == "['mnist', 'mnist5k'] []"
