"""The checkpoints of a study: which study they are part of, and which are kept."""
