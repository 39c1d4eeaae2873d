"""JSON Web Tokens of other issuers: authentication of requests, and the rights in the claims.

The options and their meaning are those of Grafana's section `[auth.jwt]`, with some corrections.
README and docs/jwt.md list the corrections.
"""
