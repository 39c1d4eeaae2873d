"""Statements and expressions: frozen dataclasses."""
