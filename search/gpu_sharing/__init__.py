"""How many trials share a GPU."""
