"""What the core costs on this machine, compared with a straightforward implementation.

`python -m benchmarks` (or `make bench`) prints one table. The product does not import this package;
tests use its reference implementation too.
"""
