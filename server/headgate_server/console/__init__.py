"""The web console: pages for people who manage users, rights, keys and sessions."""
