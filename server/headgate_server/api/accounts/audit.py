"""The endpoint /api/audit: the audit log, for administrators."""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from headgate_engine import AuditFilter, AuditRecord
from headgate_server.api.accounts.requests import json_response, page_of, require_admin
from headgate_server.app_context import AppContext
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Request
from headgate_server.http.response import Response

_SCAN_PAGE = 1000
AUDIT_PARAMETERS = tuple(field.name for field in fields(AuditFilter))


async def list_audit(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns a page of audit records, the oldest first.

    The parameters are those of `AuditFilter`. `after` is the id of the last record of the previous
    page.
    """
    await require_admin(request, context)
    after, limit = page_of(request)
    given = {name: request.url_params.get(name, "") for name in AUDIT_PARAMETERS}
    chosen = AuditFilter(**given | {"since": _in_utc(given["since"])})

    def read() -> list[dict[str, Any]]:
        found: list[AuditRecord] = []
        last = int(after or 0)
        while len(found) < limit and (page := context.store.audit(last, _SCAN_PAGE)):
            found += filter(chosen.accepts, page)
            last = page[-1].id
        return [asdict(record) for record in found[:limit]]

    return json_response(await context.run_in_thread(read))


def _in_utc(text: str) -> str:
    """Returns the time *text* as records have theirs; "" for none. Raises BadRequest.

    A year alone, or a month, is its first day.
    """
    if not text:
        return ""
    try:
        first = f"{text}{'-01-01'[len(text) - 4 :]}" if len(text) in (4, 7) else text
        moment = datetime.fromisoformat(first)
    except ValueError:
        raise BadRequest("since: expected a time such as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
