"""What predicts, how it decides, and what it scores."""
