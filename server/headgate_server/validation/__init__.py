"""Validation of settings before the server starts."""
