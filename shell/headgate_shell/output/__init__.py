"""Formats the results of statements as text."""
