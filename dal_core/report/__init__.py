"""A report folder: tables, figures and an index page, made from records."""
