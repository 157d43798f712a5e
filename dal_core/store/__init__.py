"""Runs on disk: the interface of a store, SQLite behind it, artefacts and locks."""
