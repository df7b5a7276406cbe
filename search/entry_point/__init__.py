"""How the scripts begin and end: the platform, the standard streams, errors and exit codes."""
