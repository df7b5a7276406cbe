"""GPU sharing: a probe that finds how many trials should share a GPU."""
