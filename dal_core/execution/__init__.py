"""Doing a run's work: jobs, the worker process, the pool, checkpoints."""
