"""A run as pure state: events, answers, the next task. No disk and no torch."""
