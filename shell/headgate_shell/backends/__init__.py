"""Where the shell sends statements: a server, or a store file."""
