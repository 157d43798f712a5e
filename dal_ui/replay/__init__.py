"""Replay: any earlier step of a run, and runs with and without wrong answers."""
