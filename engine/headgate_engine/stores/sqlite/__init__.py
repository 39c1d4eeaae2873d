"""The user store in a SQLite file."""
