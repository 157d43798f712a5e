"""Execution of runs: jobs, worker processes and their pool, checkpoints."""
