"""Keeping a home safe: backups, restoring them, and examining and mending what is stored."""
