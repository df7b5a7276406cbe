"""Which images of a data set belong together: the groups that a grouped split never separates."""
