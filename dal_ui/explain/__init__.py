"""The Explain page: why the model asked for an image."""
