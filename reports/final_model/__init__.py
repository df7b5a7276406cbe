"""The final training, within the time budget of the report."""
