"""Runs on disk: the log, its locks, schema and migrations (SQLite through SQLAlchemy Core)."""
