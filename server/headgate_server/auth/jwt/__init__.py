"""JSON Web Tokens of other issuers: authentication of requests, and the rights in the claims.

The rules are those of Grafana's `[auth.jwt]`, with corrections; README and docs/jwt.md list the
corrections.
"""
