"""A trial: configuration, data, model, loss, epoch loop and launchers. Imports nothing from `search` or `reports`."""
