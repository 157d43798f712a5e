"""The documentation's links lead somewhere, and what files cite is in the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("docs/method.md", "results/README.md", "benchmarks/gpu.md", "data/README.md"),
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
# Documents by which the project was planned; they are not in the repository.
OUTSIDE = re.compile(
    r"\.\./shared|\b(?:HOUSE|FAULTS|USABILITY|METHODS)\b|\b(?:SPEC|DESIGN)(?:\.md| §? ?\d| section)"
)
MAY_NAME = {".ci/run", "tests/test_docs.py"}  # the first finds MNIST beside a checkout
LARGE = 200_000  # bytes: measurements, not prose


def links(page: str) -> list[str]:
    """The relative links of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [link for link in LINK.findall(text) if "://" not in link]


def anchors(path: Path) -> set[str]:
    """The anchors that a Markdown file's headings have."""
    headings = HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_or_a_heading(page: str) -> None:
    broken = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_the_pages_link_to_one_another() -> None:
    """Otherwise the test above would hold of pages without a link."""
    assert {"CONTRIBUTING.md", "ARCHITECTURE.md", "LICENSE", "docs/method.md"} <= set(
        links("README.md")
    )


def tracked() -> list[str]:
    """The names of the files under version control."""
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("this copy of the project is not under version control")
    return [name for name in done.stdout.split("\0") if name]


def test_no_file_cites_what_is_not_in_the_repository() -> None:
    found = []
    for name in tracked():
        path = ROOT / name
        if name in MAY_NAME or not path.is_file() or path.stat().st_size > LARGE:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture, a database
            continue
        found += [f"{name}: {one}" for one in OUTSIDE.findall(text)]
    assert not found


def test_sections_of_the_method_that_code_cites_exist() -> None:
    method = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", method, re.MULTILINE))
    cited: set[str] = set()
    for name in tracked():
        if name.endswith((".py", ".md")) and (ROOT / name).is_file():
            text = (ROOT / name).read_text(encoding="utf-8")
            for numbers in re.findall(r"method\.md,\s+sections?\s+([\d., -]+(?:and \d+)?)", text):
                cited |= {one.rstrip(".") for one in re.findall(r"\d+(?:\.\d+)?", numbers)}
    assert cited
    assert cited <= sections
