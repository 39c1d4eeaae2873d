"""Accounts: API keys for programs, sessions and profiles of people, and who may log in."""
