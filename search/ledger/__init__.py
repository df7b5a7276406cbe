"""The ledger: what a study knows of its trials, and what follows from it."""
