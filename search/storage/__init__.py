"""Storage of a ledger: a journal in the study's folder, or a PostgreSQL database."""
