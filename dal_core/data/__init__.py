"""Data sets, class names, splits, caches and downloads."""
