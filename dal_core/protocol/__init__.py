"""Every parameter of a run, the presets, and where random numbers come from."""
