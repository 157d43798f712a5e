"""Stacked training: R runs at the same step, trained as one batch of models.

Runs of an experiment at the same step have the same number of labels. Every parameter gets a
leading axis of runs, [R, ...], and every operation is batched, so an epoch of R runs launches as
many kernels as an epoch of one run. This pays on a GPU, where launching a small kernel costs more
than its work. On a CPU, stacked runs take 2 to 4 times as long as single runs.

`training.loop` is the reference. With the same seeds, stacked runs draw the same masks and keep
the same weights up to rounding; tests check this on the CPU. It has not run on a GPU yet: the CUDA
graph is untested and the speed is a prediction (`benchmarks/gpu.md`).

An epoch transfers nothing between host and device, so it can be one CUDA graph. Losses, best
weights and the epoch counter stay on the device, and random numbers are drawn ahead on the CPU.
`posterior.stacked` computes the stochastic passes, `experiments.stacked_runs` chooses the runs.
"""
