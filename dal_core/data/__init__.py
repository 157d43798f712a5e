"""Data sets: finding, reading, caching and downloading images and labels."""
