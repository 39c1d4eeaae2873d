"""Endpoints, one file per resource, and the table of errors."""
