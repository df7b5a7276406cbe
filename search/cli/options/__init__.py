"""Command-line options: their types, the parsers, and what a search takes."""
