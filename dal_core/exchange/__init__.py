"""Export labels and models, import labels, and fit models to them again."""
