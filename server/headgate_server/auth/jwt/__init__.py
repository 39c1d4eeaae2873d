"""JSON Web Tokens of other issuers: authentication of requests, and the rights in the claims.

The semantics are those of Grafana's `[auth.jwt]`, with corrections; README and docs/jwt.md list
them.
"""
