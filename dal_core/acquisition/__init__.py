"""Which images to ask for: scores, selections and the registry of acquisition functions."""
