"""The names of posteriors. In a module of its own, so that they can be listed at once."""

from __future__ import annotations

DEFAULT_POSTERIOR = "mc_dropout"
OF_NETWORKS = (DEFAULT_POSTERIOR, "deterministic", "ensemble")  # those that train `which_model`
POSTERIORS = [*OF_NETWORKS]  # `posterior.base.register` adds to them
