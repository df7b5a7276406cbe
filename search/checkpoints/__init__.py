"""The checkpoints of a study: whose they are, and which are kept."""
