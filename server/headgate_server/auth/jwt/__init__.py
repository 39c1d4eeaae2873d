"""JSON Web Tokens of other issuers: who sent a request, and what he is to have here.

The semantics are those of Grafana's `[auth.jwt]`, mended; README and docs/jwt.md say where.
"""
