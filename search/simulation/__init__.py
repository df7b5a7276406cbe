"""Simulated searches in virtual time."""
