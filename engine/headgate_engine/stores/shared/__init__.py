"""The user store of several machines: all data in memory, following a log that they share."""
