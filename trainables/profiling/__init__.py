"""Time and memory that a configuration needs."""
