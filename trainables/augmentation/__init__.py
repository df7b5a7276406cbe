"""Changes to training images and their masks."""
