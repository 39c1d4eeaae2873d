"""Execution of InfluxQL queries, from the text to the results."""
