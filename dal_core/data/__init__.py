"""Data sets: images, labels and class names, found, read, cached and downloaded."""
