"""Augmentation of training images and their masks."""
