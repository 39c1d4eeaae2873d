"""Settings that cannot work, found before the server starts."""
