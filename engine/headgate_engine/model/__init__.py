"""Frozen dataclasses for users, databases, retention policies, token rights and results."""
