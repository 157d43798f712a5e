"""Runs on disk: the store and its SQLite implementation, artefact files and locks."""
