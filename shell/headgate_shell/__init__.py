"""The interactive and scripted client of the HTTP API. Loads the grammar only when needed.

Exports nothing: `headgate shell` has to start fast, so each file imports what it needs.
"""
