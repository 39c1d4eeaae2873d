"""User stores: the interface `Store`, and its implementations in memory and in SQLite."""
