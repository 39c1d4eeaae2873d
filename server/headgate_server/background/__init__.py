"""Work in other threads: a thread pool, changes in SQLite, audit records of rejected requests."""
