"""Lists the licence of everything that dal installs: `python -m docs.licences`.

It reads the installed packages' own metadata, from dal's dependencies down, without a network.
Packages of the extras `test` and `dev` are listed if they are installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

UNKNOWN = "not stated"
_CLASSIFIER = "License :: "
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def main() -> None:
    """Print name, version and licence, a line each."""
    for found in dependencies("dal"):
        print(f"{found.metadata['Name']:<28} {found.version:<14} {licence(found)}")


def dependencies(root: str) -> list[Distribution]:
    """Every installed package that `root` needs, directly or not, by name; without `root`."""
    seen: dict[str, Distribution] = {}
    waiting = [_key(name) for name in _required(distribution(root))]
    while waiting:
        key = waiting.pop()
        if key in seen or key == _key(root):
            continue
        try:
            seen[key] = distribution(key)
        except PackageNotFoundError:  # for another system or of an extra
            continue
        waiting += [_key(name) for name in _required(seen[key], extras=False)]
    return [seen[key] for key in sorted(seen)]


def licence(found: Distribution) -> str:
    """The licence as the package states it: expression, classifiers, else the text's first line."""
    classifiers = [
        value.split(" :: ")[-1]
        for value in found.metadata.get_all("Classifier") or ()
        if value.startswith(_CLASSIFIER)
    ]
    text = (found.metadata["License"] or "").strip().partition("\n")[0]
    return found.metadata["License-Expression"] or ", ".join(classifiers) or text or UNKNOWN


def _required(found: Distribution, extras: bool = True) -> Iterator[str]:
    for line in found.requires or ():
        name = _NAME.match(line)
        if name and (extras or "extra ==" not in line):
            yield name.group()


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
