"""Why this image? The numbers behind the explain page.

`step` loads the model of a step; `passes` gives one image's softmax outputs, `parts` what its
scores are made of, `pool` the scores of all images the run chose from, `choices` what each
acquisition function would ask for, and `pool_map` the images in two dimensions. Nothing here
draws or trains.
"""
