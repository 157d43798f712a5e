"""Why this image? What the explaining page shows, as numbers; it draws nothing and never trains.

`step` brings back the model of a step as the run left it; `passes` has one image's softmax
outputs, `parts` what the scores are made of, `pool` the scores of all images it chose from,
`choices` what each acquisition function would ask for, `pool_map` the features in two dimensions.
"""
