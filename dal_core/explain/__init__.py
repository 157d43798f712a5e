"""Why this image? The numbers behind the explain page.

`step` loads the model of a step, and `passes` computes one image's softmax outputs. `parts` splits
an image's scores into their terms, and `pool` scores all images that the run chose from. `batches`
has what each acquisition function would ask for, and `choices` compares it. `redundancy`,
`information` and `uncovered` judge a batch. `pool_map` places the images in two dimensions. Nothing
here trains a model or draws a figure.
"""
