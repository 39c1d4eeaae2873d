"""Where the shell sends statements: to a server by HTTP, or to the SQLite file of users."""
