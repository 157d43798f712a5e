"""The networks, and the convolution and dropout kernels that make them fast."""
