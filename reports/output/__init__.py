"""What the report writes: the page, figures, tables."""
