"""One trial: its configuration, data, model, loss, epoch loop and launchers. Knows nothing of `search` or `reports`."""
