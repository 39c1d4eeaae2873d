"""The settings, and how they are read from flags, environment and file."""
