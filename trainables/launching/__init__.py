"""How Ray runs a trial."""
