"""Users, databases, results: frozen values."""
