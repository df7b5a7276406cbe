"""Launchers, which run trials with Ray."""
