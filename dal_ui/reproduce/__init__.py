"""The Reproduce page: start, watch and compare experiments."""
