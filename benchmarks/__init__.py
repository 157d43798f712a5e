"""The cost of the core on this machine, compared with a straightforward implementation.

`python -m benchmarks` (or `make bench`) prints one table. The product does not import this package.
Tests use its reference implementation too.
"""
