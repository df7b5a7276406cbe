"""Scheduling: which trials continue."""
