"""Browser components: the labelling grid and the drawing canvas."""
