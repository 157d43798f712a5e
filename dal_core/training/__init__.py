"""Training a network from scratch: the loop, the selection of weights, the device."""
