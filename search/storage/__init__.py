"""What a ledger is stored in: a journal in the study's folder, or a PostgreSQL database."""
