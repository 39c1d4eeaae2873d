"""Prometheus remote write and remote read, which InfluxDB 1.x serves beside /query and /write.

InfluxDB's other paths that read or write data are rejected with an explanation.
"""

from headgate_engine import Need, Principal, allows
from headgate_grammar import Privilege
from headgate_server.api.write import present, writable
from headgate_server.app_context import Service
from headgate_server.formats import Format
from headgate_server.gateway.errors import CannotWrite, NotServed, ReadDenied
from headgate_server.gateway.mount import Mounted, Store
from headgate_server.http.errors import BadRequest
from headgate_server.http.form import body
from headgate_server.http.go_text import go_quote, readable
from headgate_server.http.request import Call
from headgate_server.http.response import Response
from headgate_server.upstream.headers import outward
from headgate_server.upstream.line_protocol import Line, remote_read, remote_write
from headgate_server.upstream.relay import relayed

WRITE_PATH, READ_PATH = "/api/v1/prom/write", "/api/v1/prom/read"
# InfluxDB's own status if Flux is disabled; the other statuses are Headgate's.
_FLUX = (403, "Flux query service disabled: Headgate authorizes InfluxQL only, use /query")
_UNSERVED = {
    "/api/v2/query": _FLUX,
    "/api/v2/delete": (501, "/api/v2/delete is not served: use DELETE at /query"),
    "/api/v2/buckets": (501, "/api/v2/buckets is not served: use SHOW DATABASES at /query"),
    "/api/v1/prom/metrics": (501, "the store's own metrics are not served: query it directly"),
    "/debug": (501, "the store's own /debug is not served: query it directly"),
}


async def prom_write(
    call: Call, service: Service, format: Format, mounted: Mounted | None
) -> Response:
    """Forwards a Prometheus remote write to the database that the parameter `db` names."""
    principal = await service.login(call, mounted)
    line = _line(call)
    store = await writable(call, service, principal, line.database, mounted)
    limit = service.settings.max_body_size
    if store is None or not store.takes_remote:
        async for _ in body(call, limit):
            pass  # read, so that the client receives the answer
        raise CannotWrite(upstream=bool(service.gateway.all))
    call.at_end(service.gateway.limits.enter(principal))
    target = line.target(path=WRITE_PATH)
    return await remote_write(store.upstream, call, target, limit, format)


async def prom_read(
    call: Call, service: Service, format: Format, mounted: Mounted | None
) -> Response:
    """Forwards a Prometheus remote read from the database that the parameter `db` names.

    Requires READ on it. InfluxDB 1.x does not check READ; from 1.8 on it does if
    `prom-read-auth-enabled` is set.
    """
    principal = await service.login(call, mounted)
    line = _line(call)
    if not line.database:
        raise BadRequest("database is required")
    call.note.database = readable(line.database)
    store = mounted.store if mounted is not None else None
    try:
        await _check_read(service, principal, line.database, store)
    except ReadDenied:
        requires = f"requires READ on {readable(line.database)}"
        service.recorder.refused(principal.name, call.origin, "-- read", requires)
        raise
    if store is None or not store.takes_remote:
        raise NotServed(501, "no upstream store takes this API here: there is no data to read")
    call.at_end(service.gateway.limits.enter(principal))
    target = line.target(path=READ_PATH)
    reply = await remote_read(store.upstream, call, target, service.settings.max_query_size)
    headers = outward(reply.headers, store.upstream.settings.mount)
    return await relayed(reply, headers, call.scope["http_version"])


async def unserved(
    call: Call, service: Service, format: Format, mounted: Mounted | None
) -> Response:
    """Authenticates the request, then raises NotServed: no privilege covers this InfluxDB path."""
    await service.login(call, mounted)
    route = call.route.removesuffix("/*")
    raise NotServed(*_UNSERVED[route])


def _line(call: Call) -> Line:
    asked = call.url_pairs
    return Line(*(asked.get(name, "") for name in ("db", "rp", "precision", "consistency")))


async def _check_read(
    service: Service, principal: Principal, database: str, store: Store | None
) -> None:
    """Raises ReadDenied, or DatabaseMissing if *principal* may read *database*."""
    user = principal.user
    if user is not None and not allows(user, Need(Privilege.READ, database)):
        raise ReadDenied(
            f"user {go_quote(user.name)} is not authorized to read from database"
            f" {go_quote(database)}"
        )
    if user is None and not principal.trusted:
        raise ReadDenied(f"user is required to read from database {go_quote(database)}")
    await present(service, database, store)
