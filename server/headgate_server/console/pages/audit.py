"""The page of the audit: changes and refused attempts, the newest first."""

from starlette.responses import Response

from headgate_engine import FORWARDED, AuditRecord
from headgate_server.api.accounts.requests import is_id
from headgate_server.console.visit import Visit

_SCAN_PAGE, _MAX_SCANNED = 1000, 20_000


def show(visit: Visit) -> Response:
    """Shows a page of audit records that the filter accepts."""
    size = visit.context.settings.console_page_size
    records, next_before = _chosen(visit, size)
    return visit.render("audit.html", records=records, next_before=next_before, forwarded=FORWARDED)


def _chosen(visit: Visit, size: int) -> tuple[list[AuditRecord], int]:
    """Returns the records of the page, and the id before which the next page starts; 0: none.

    Reads at most 20,000 records, so that rare ones take several pages.
    """
    text = visit.query.get("before", "")
    before = int(text) if is_id(text) else 0
    found: list[AuditRecord] = []
    for _ in range(_MAX_SCANNED // _SCAN_PAGE):
        page = visit.context.store.newest_audit(before, _SCAN_PAGE)
        for record in page:
            if _is_wanted(visit, record):
                if len(found) == size:
                    return found, found[-1].id
                found.append(record)
        if len(page) < _SCAN_PAGE:
            return found, 0
        before = page[-1].id
    return found, before


def _is_wanted(visit: Visit, record: AuditRecord) -> bool:
    user, text = visit.query.get("user", ""), visit.query.get("text", "")
    since, until = visit.query.get("since", ""), visit.query.get("until", "")
    day = record.time[:10]
    return (
        user in ("", record.actor)
        and text.lower() in f"{record.actor} {record.statement}".lower()
        and (visit.query.get("refused") != "yes" or record.outcome not in ("ok", FORWARDED))
        and since <= day
        and (not until or day <= until)
    )
