"""Validation of settings before the server starts, and tests of connections to upstream stores."""
