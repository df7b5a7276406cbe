"""What a data set is like, and what that means for a search of it."""
