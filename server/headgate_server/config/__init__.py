"""Values of the settings, and how they are read."""
