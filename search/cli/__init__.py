"""The commands: options, checks, plans."""
