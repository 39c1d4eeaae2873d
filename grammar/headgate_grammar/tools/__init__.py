"""Functions on any text: syntax highlighting and redaction."""
