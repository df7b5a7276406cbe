"""Searches in virtual time."""
