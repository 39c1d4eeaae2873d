"""Authentication: reads the credentials in a request, verifies them, and finds the user."""
