"""Acquisition functions x seeds: start, pause, resume, forget, forecast."""
