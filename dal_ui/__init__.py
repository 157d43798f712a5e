"""The app: the parts of its pages, one room each, and what they share."""
