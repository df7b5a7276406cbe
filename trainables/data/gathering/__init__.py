"""Two passes over a data set that a reader reads: what must be known of it, then its images and labels in arrays."""
