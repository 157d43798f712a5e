"""Reviewing given labels and correcting them."""
