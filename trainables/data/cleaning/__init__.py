"""Which images of a data set are dropped: those that the user lists, and of the others the outliers."""
