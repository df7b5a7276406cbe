"""Output of the report: the page, its figures, and tables."""
