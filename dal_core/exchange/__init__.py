"""Labels and models in and out of a home, and refitting a label file."""
