"""Stores of users and grants: the interface, and its implementations."""
