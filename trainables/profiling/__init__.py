"""What a configuration takes of time and memory."""
