"""Which trials continue."""
