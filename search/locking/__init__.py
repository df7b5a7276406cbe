"""Locks that let a study have one driver at a time, on this machine and across machines."""
