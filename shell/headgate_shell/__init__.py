"""The shell, over HTTP. Imports the grammar, and only where a person types.

No names here: `headgate shell` has to start fast, so every file imports what it needs itself.
"""
