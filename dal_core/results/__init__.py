"""What runs show: curves, crossings, comparisons over seeds, tables, published numbers."""
