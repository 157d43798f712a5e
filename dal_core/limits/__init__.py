"""Limits on what comes from outside, applied while it is read and before anything is built."""
