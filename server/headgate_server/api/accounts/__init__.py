"""The endpoints of accounts: users, API keys, sessions, and one's own account."""
