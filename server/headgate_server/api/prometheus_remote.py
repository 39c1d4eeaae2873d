"""InfluxDB 1.x's endpoints for Prometheus: /api/v1/prom/write and /api/v1/prom/read.

Also rejects, with a reason, InfluxDB's paths that Headgate does not serve, such as /api/v2/query.
"""

from headgate_engine import Principal, RequiredPrivilege, allows
from headgate_grammar import Privilege
from headgate_server.api.write import authorize_write, require_database
from headgate_server.app_context import AppContext
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.errors import NotServed, NoWritableUpstream, ReadForbidden
from headgate_server.gateway.mount import DatabaseStore, Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.form import read_body
from headgate_server.http.go_text import go_quote, replace_invalid
from headgate_server.http.request import Request
from headgate_server.http.response import ASGIResponse
from headgate_server.upstream.headers import client_headers
from headgate_server.upstream.line_protocol import WriteTarget, remote_read, remote_write
from headgate_server.upstream.relay import relay_response

WRITE_PATH, READ_PATH = "/api/v1/prom/write", "/api/v1/prom/read"
# InfluxDB's own status if Flux is disabled; the other statuses are Headgate's.
_FLUX_DISABLED = (403, "Flux query service disabled: Headgate authorizes InfluxQL only, use /query")
_NOT_SERVED = {
    "/api/v2/query": _FLUX_DISABLED,
    "/api/v2/delete": (501, "/api/v2/delete is not served: use DELETE at /query"),
    "/api/v2/buckets": (501, "/api/v2/buckets is not served: use SHOW DATABASES at /query"),
    "/api/v1/prom/metrics": (501, "the store's own metrics are not served: query it directly"),
    "/debug": (501, "the store's own /debug is not served: query it directly"),
}


async def prom_write(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Forwards a Prometheus remote write to the database that the parameter `db` names."""
    principal = await context.authenticate(request, mount)
    write_target = _write_target(request)
    store = await authorize_write(request, context, principal, write_target.database, mount)
    max_bytes = context.settings.max_body_size
    if store is None or not store.influxql.serves_prometheus_remote:
        async for _ in read_body(request, max_bytes):
            pass  # read, so that the client receives the answer
        raise NoWritableUpstream(upstream=bool(context.gateway.mounts))
    request.on_end(context.gateway.limits.acquire(principal))
    target = write_target.path_and_query(path=WRITE_PATH)
    return await remote_write(store.upstream, request, target, max_bytes, encoder)


async def prom_read(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Forwards a Prometheus remote read from the database that the parameter `db` names.

    Requires READ on that database. InfluxDB itself requires READ only from 1.8 on, and only with
    its option `prom-read-auth-enabled`.
    """
    principal = await context.authenticate(request, mount)
    write_target = _write_target(request)
    if not write_target.database:
        raise BadRequest("database is required")
    request.log.database = replace_invalid(write_target.database)
    store = mount.store if mount is not None else None
    try:
        await _check_read(context, principal, write_target.database, store)
    except ReadForbidden:
        requires = f"requires READ on {replace_invalid(write_target.database)}"
        context.audit_writer.record_denied(
            principal.name, request.audit_address, "-- read", requires
        )
        raise
    if store is None or not store.influxql.serves_prometheus_remote:
        raise NotServed(501, "no upstream store takes this API here: there is no data to read")
    request.on_end(context.gateway.limits.acquire(principal))
    target = write_target.path_and_query(path=READ_PATH)
    response = await remote_read(store.upstream, request, target, context.settings.max_query_size)
    headers = client_headers(response.headers, store.upstream.settings.mount)
    return await relay_response(response, headers, request.scope["http_version"])


async def not_served(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Authenticates the request, then raises NotServed with the reason for this InfluxDB path."""
    await context.authenticate(request, mount)
    route = request.route.removesuffix("/*")
    raise NotServed(*_NOT_SERVED[route])


def _write_target(request: Request) -> WriteTarget:
    parameters = request.url_params
    return WriteTarget(
        *(parameters.get(name, "") for name in ("db", "rp", "precision", "consistency"))
    )


async def _check_read(
    context: AppContext, principal: Principal, database: str, store: DatabaseStore | None
) -> None:
    """Raises ReadForbidden if *principal* may not read *database*.

    If *principal* may read *database*, raises DatabaseNotFound if *database* does not exist.
    """
    user = principal.user
    if user is not None and not allows(user, RequiredPrivilege(Privilege.READ, database)):
        raise ReadForbidden(
            f"user {go_quote(user.name)} is not authorized to read from database"
            f" {go_quote(database)}"
        )
    if user is None and not principal.unrestricted:
        raise ReadForbidden(f"user is required to read from database {go_quote(database)}")
    await require_database(context, database, store)
