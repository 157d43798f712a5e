"""Data sets that a person brings in: pictures of their own, kept in the home and found by name."""
