"""A run in memory: events, state, answers, the next task. Without torch and without files."""
