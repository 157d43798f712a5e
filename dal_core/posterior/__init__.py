"""Samples of a model's predictions: Monte Carlo dropout and its siblings."""
