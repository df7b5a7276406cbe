"""The folders that commands write to, and paths as text."""
