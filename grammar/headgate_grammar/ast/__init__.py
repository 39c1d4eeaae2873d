"""Statements and expressions of InfluxQL: frozen dataclasses."""
