"""Stacked training: R runs at the same step, trained as one batch of models.

Runs of an experiment at the same step have equally many labels. Every parameter gets a leading
axis of runs, [R, ...], and every operation becomes a batched one, so an epoch of R runs starts as
many kernels as an epoch of one. That pays on a GPU, where starting small kernels costs more than
their work. On a CPU it takes 2 to 4 times as long as single runs.

`training.loop` is the reference. With the same seeds, stacked runs draw the same masks and keep
the same weights up to rounding, which tests check on the CPU. No GPU has run this yet: the CUDA
graph is untested and the speed is predicted (`benchmarks/gpu.md`).

An epoch reads nothing from the host and sends nothing to it, so it can be one CUDA graph: losses,
best weights and the epoch counter stay on the device, and random numbers are drawn ahead on the
CPU. `posterior.stacked` makes the stochastic passes, `experiments.stacked_runs` chooses the runs.
"""
