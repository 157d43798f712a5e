"""Training a network from scratch: the loop, which weights to keep, the device."""
