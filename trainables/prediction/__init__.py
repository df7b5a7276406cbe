"""From images to masks with trained models: tiles, averages over models and flips, and the decision."""
