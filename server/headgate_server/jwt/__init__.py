"""JSON Web Tokens of other issuers: who sent a request, and what he is to have here.

The semantics are those of Grafana's `[auth.jwt]`, mended; README and docs/jwt.md say where.
"""

from headgate_server.jwt.claims import Checked
from headgate_server.jwt.issuer import Issuer, Verified
from headgate_server.jwt.issuers import Issuers
from headgate_server.jwt.keys import Key
from headgate_server.jwt.paths import path
from headgate_server.jwt.rights import NoRights
from headgate_server.jwt.settings import JwtSettings, read_jwt_settings
from headgate_server.jwt.source import KeysUnavailable
from headgate_server.jwt.token import TokenError, parse

__all__ = [
    "Checked",
    "Issuer",
    "Issuers",
    "JwtSettings",
    "Key",
    "KeysUnavailable",
    "NoRights",
    "TokenError",
    "Verified",
    "parse",
    "path",
    "read_jwt_settings",
]
