"""Connections to the stores behind Headgate, and what each store speaks."""
