"""The training of one model, from its stages to its checkpoints and predictions."""
