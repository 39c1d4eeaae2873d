"""Decides which request may create the first administrator, while the user store has no users."""

import hmac
import secrets

from headgate_server.config.settings import Settings
from headgate_server.http.cross_site import is_local
from headgate_server.http.request import Request

_PREFIX = "hgs_"


def new_setup_token() -> str:
    """Returns a new set-up token of 160 random bits.

    A request with this token may create the first administrator.
    """
    return _PREFIX + secrets.token_hex(20)


def may_create_first_admin(call: Request, settings: Settings) -> bool:
    """Returns whether *call* may create the first administrator.

    *call* must come from a program on this machine, or have the set-up token in `Authorization`.
    A connection with a PROXY header may come from elsewhere, whatever address the header names.
    If `[auth] open-setup` is set, any request may create it, as in InfluxDB.
    """
    version = call.scope.get("http_version", "1.1")
    local = not call.is_relayed and is_local(call.address, call.headers, version)
    if settings.open_setup or local:
        return True
    scheme, _, shown = call.headers.get("authorization").strip(" \t").partition(" ")
    expected = settings.setup_token
    return (
        bool(expected)
        and scheme.lower() in ("bearer", "token")
        and hmac.compare_digest(shown.strip(" ").encode("latin-1"), expected.encode())
    )
