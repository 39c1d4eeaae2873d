"""Authentication of a request: from its credentials to a user."""
