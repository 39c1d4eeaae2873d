"""Authenticates requests by JSON Web Tokens of external issuers, and reads rights from claims.

The options and their meaning are those of Grafana's section `[auth.jwt]`, with some corrections.
README and docs/jwt.md list the corrections.
"""
