"""Experiments (acquisition functions x seeds): control, status and forecast."""
