"""The interactive and scripted client of the HTTP API. Loads the InfluxQL grammar on demand.

Exports nothing: `headgate shell` has to start fast, so each file imports what it needs.
"""
