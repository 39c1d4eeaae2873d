"""Requests without a login act as the user of `[auth.anonymous]`, with bounded rights."""

import time

from headgate_engine import Engine, KeyScope, Principal
from headgate_grammar import Privilege
from headgate_server.config.anonymous import AnonymousSettings
from headgate_server.telemetry.logging import log_error

_COMPLAINT_SECONDS = 60.0
_PRIVILEGES = {"READ": Privilege.READ, "WRITE": Privilege.WRITE, "ALL": Privilege.ALL}


class AnonymousLogin:
    """The principal of requests without a login, by *settings*."""

    def __init__(self, engine: Engine, settings: AnonymousSettings) -> None:
        self._engine, self._settings = engine, settings
        self._scope = KeyScope(everywhere=_PRIVILEGES[settings.privilege])
        self._quiet_until = 0.0

    def principal(self) -> Principal | None:
        """Returns the principal; None if the user may not be used: then the log says why.

        The user must exist, be enabled, and have no admin flag.
        """
        user = self._engine.active_user(self._settings.user)
        if user is None or user.admin:
            why = "is an administrator" if user is not None else "does not exist, or is disabled"
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + _COMPLAINT_SECONDS
                log_error(f"[auth.anonymous] user {why}: requests without a login are refused")
            return None
        bounded = self._engine.api_keys.restricted(user, self._scope)
        return Principal(bounded, "anonymous", scope=self._scope)
