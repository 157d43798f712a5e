"""Labels and models out of a home, labels in, and refitting them."""
