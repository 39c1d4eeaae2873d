"""The gateway: adds users and grants to upstream stores that have none."""
