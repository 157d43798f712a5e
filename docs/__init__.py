"""The scripts that make the README's pictures; run them from the project's root."""
