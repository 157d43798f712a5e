"""Results of runs: curves, crossings, statistics over seeds, tables and published numbers."""
