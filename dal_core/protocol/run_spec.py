"""The definition of a run, and the short key that identifies it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from dal_core.acquisition import registry
from dal_core.protocol import posteriors
from dal_core.protocol.parameters import Protocol, ProtocolError

FULL_DATA = "full_data"
"""Value of `acquisition` for the full-data bound (docs/method.md, section 7)."""

MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class RunSpec:
    """The definition of a run: data, protocol, acquisition function, seed and oracle.

    Attributes:
        fingerprint: fingerprint of the data set (`ImageDataset.fingerprint`).
        protocol: all parameters of the procedure.
        acquisition: name of a registered acquisition function, or `FULL_DATA`.
        seed: seed of all random numbers, from 0 to `MAX_SEED`.
        noise: probability that the simulated oracle gives a wrong label; 0 in the report.

    Raises:
        ProtocolError: a value is not allowed.
    """

    fingerprint: str
    protocol: Protocol
    acquisition: str
    seed: int
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.acquisition != FULL_DATA and registry.find(self.acquisition) is None:
            names = ", ".join(registry.names())
            raise ProtocolError(f"acquisition is {self.acquisition!r}; allowed: {names}")
        self._check_disagreement()
        self._check_joint()
        if type(self.seed) is not int or not 0 <= self.seed <= MAX_SEED:
            raise ProtocolError(
                f"seed is {self.seed!r}; allowed: a whole number from 0 to {MAX_SEED}"
            )
        if type(self.noise) not in (int, float) or not 0 <= self.noise <= 1:
            raise ProtocolError(f"noise is {self.noise!r}; allowed: a probability from 0 to 1")

    def _check_disagreement(self) -> None:
        entry, posterior = registry.find(self.acquisition), posteriors.get(self.protocol.posterior)
        if posterior.one_sample and entry and entry.needs_disagreement:
            agreeing = [e.name for e in registry.functions() if not e.needs_disagreement]
            raise ProtocolError(
                f"acquisition is {self.acquisition!r}, which scores how much samples disagree, and "
                f"a {posterior.title.lower()} has one; allowed: {', '.join(agreeing)}"
            )

    def _check_joint(self) -> None:
        entry, posterior = registry.find(self.acquisition), posteriors.get(self.protocol.posterior)
        if posterior.per_image and entry and entry.needs == "joint":
            others = [e.name for e in registry.functions() if e.needs != "joint"]
            raise ProtocolError(
                f"acquisition is {self.acquisition!r}, which needs samples of several images "
                f"together, and {posterior.title} searches image by image; allowed: "
                f"{', '.join(others)}"
            )

    @property
    def key(self) -> str:
        """Short hash of the definition, by which stored runs are found.

        It does not depend on who answers. A noise of 0 is left out of the hash, so that runs
        stored before noise was added keep their keys.
        """
        parts: list[Any] = [self.fingerprint, self.protocol.model_dump_json()]
        parts += [self.acquisition, self.seed, *([float(self.noise)] if self.noise else [])]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def max_labels(self) -> int:
        """Labels in the training set at the last evaluated step (docs/method.md, section 5)."""
        return self.labels_at_end(0)

    def labels_at_end(self, n_initial: int) -> int:
        """`max_labels` of a run that starts with `n_initial` labels, if its set is not balanced."""
        p = self.protocol
        first = p.train_size if p.initial_set == "balanced" else n_initial
        return first + p.n_acquisition_steps * p.n_samples_to_acquire
