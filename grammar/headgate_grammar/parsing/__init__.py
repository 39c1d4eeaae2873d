"""Parses InfluxQL text to statements, and prints statements as text."""
