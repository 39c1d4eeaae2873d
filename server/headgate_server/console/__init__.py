"""The web console: pages to manage users, rights, keys and sessions."""
