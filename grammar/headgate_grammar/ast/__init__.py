"""The syntax tree of InfluxQL: statements, clauses and expressions as frozen dataclasses."""
