"""A report folder: tables, figures and an index page from a record."""
