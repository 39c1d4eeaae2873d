"""Stores of users and grants: the contract, and its implementations."""
