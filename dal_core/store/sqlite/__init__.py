"""The store as one SQLite file: schema, migrations, reading and writing (SQLAlchemy Core)."""
