"""The gateway: users and grants in front of stores that have none."""
