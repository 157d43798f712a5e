"""What the core costs on this machine, beside a straightforward implementation of the same thing.

`python -m benchmarks` (or `make bench`) prints one table. Nothing of the product imports this
package; its reference implementation also serves the tests.
"""
