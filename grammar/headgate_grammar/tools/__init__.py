"""Syntax highlighting and redaction of secrets, for any text: valid InfluxQL or not."""
