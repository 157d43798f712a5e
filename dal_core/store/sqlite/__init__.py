"""The store as one SQLite file: schema, migration, reading and writing (SQLAlchemy Core)."""
