"""Programs over text and statements: highlighting, redaction, printing."""
