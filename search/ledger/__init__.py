"""The ledger: the record of a study's trials, and what is computed from it."""
