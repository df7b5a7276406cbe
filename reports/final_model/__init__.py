"""The final training, within the time that the report has."""
