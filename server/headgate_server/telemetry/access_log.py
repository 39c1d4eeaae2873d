"""The access log: a line for each request. No line holds a secret."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from headgate_engine import Principal
from headgate_grammar import Statement, redact_urls
from headgate_server.telemetry.tracing import trace_id_text

_ACCESS = logging.getLogger("headgate.access")
_MAX_CHARACTERS = 1000
# In the line of a rejected request: clients without a login can cause many such lines.
_MAX_REJECTED_CHARACTERS = 100
_MAX_REASON_CHARACTERS = 300


@dataclass(slots=True)
class RequestLog:
    """The values of a request that the access log may contain. No value is a secret.

    *statements* is text that is printed from the parsed statements, with passwords as `[REDACTED]`.
    """

    id: str = ""
    trace_id: int = 0  # 0 for none
    user: str = ""
    login: str = ""  # its method, or the id of its key or session
    database: str = ""
    statements: str = ""
    error: str = ""  # the error of the request, or else of its first failed statement

    def set_principal(self, principal: Principal) -> None:
        """Records the user of *principal*, and how they logged in."""
        self.user, self.login = principal.name, principal.login


def log_access(
    address: str,
    method: str,
    route: str,
    status: int,
    size: int,
    seconds: float,
    request_log: RequestLog,
) -> None:
    """Logs a request from *address* and its response of *size* bytes, after *seconds*."""
    if not is_access_logged():
        return
    refused = status >= HTTPStatus.BAD_REQUEST
    longest = _MAX_REJECTED_CHARACTERS if refused else _MAX_CHARACTERS
    fields: dict[str, object] = {
        "client": address,
        "user": request_log.user[:longest],
        "login": request_log.login,
        "method": method,
        "route": route,
        "status": status,
        "bytes": size,
        "seconds": round(seconds, 6),
        "request_id": request_log.id[:longest],
        "trace_id": trace_id_text(request_log.trace_id),
        "database": request_log.database[:longest],
        "statements": request_log.statements[:longest] if refused else request_log.statements,
        "error": redact_urls(request_log.error)[
            : _MAX_REASON_CHARACTERS if refused else _MAX_CHARACTERS
        ],
    }
    _ACCESS.info("request", extra={"fields": fields})


def log_malformed(address: str, status: int, error: str = "malformed or too slow") -> None:
    """Logs an invalid or too slow request from *address*, which was rejected with *status*."""
    log_access(address, "other", "other", status, 0, 0, RequestLog(error=error))


def format_statements(statements: Sequence[Statement]) -> str:
    """Returns *statements* as text for a log line, cut after 1,000 characters.

    Returns "" if requests are not logged.
    """
    if not is_access_logged():
        return ""
    texts: list[str] = []
    room = _MAX_CHARACTERS
    for statement in statements:
        if room <= 0:
            break
        texts.append(redact_urls(str(statement))[:room])
        room -= len(texts[-1])
    more = len(statements) - len(texts)
    return "; ".join(texts) + (f" ... and {more} more" if more else "")


def is_access_logged() -> bool:
    """Returns whether requests are logged."""
    return not _ACCESS.disabled and _ACCESS.isEnabledFor(logging.INFO)
