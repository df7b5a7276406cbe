"""Locks that let a study have one driver at a time.

`driver_claim` holds a file in the shared place and is taken first, also for a local study. `folder_lock` is a lock of
the operating system on the folder. A ledger in PostgreSQL has a third one (`search/storage/postgres_connection.py`).
"""
