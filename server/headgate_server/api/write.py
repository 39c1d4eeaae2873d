"""/write and /api/v2/write: authorizes writes, and forwards them to the upstream store."""

from collections.abc import AsyncGenerator

from headgate_engine import Need, Principal, allows
from headgate_grammar import Privilege
from headgate_server.app_context import Service
from headgate_server.formats import Format
from headgate_server.gateway.errors import BucketMissing, CannotWrite, DatabaseMissing, WriteDenied
from headgate_server.gateway.mount import Mounted, Store
from headgate_server.http.errors import BadRequest, CrossSite
from headgate_server.http.form import body
from headgate_server.http.go_text import go_quote, readable
from headgate_server.http.gzip import decompressed
from headgate_server.http.request import Call
from headgate_server.http.response import Response
from headgate_server.upstream.line_protocol import Line

_PRECISIONS = ("", "n", "ns", "u", "ms", "s", "m", "h")
# The precisions of InfluxDB 2, each with its name in InfluxDB 1.x.
_V2_PRECISIONS = {"": "", "ns": "n", "us": "u", "ms": "ms", "s": "s"}


async def write(call: Call, service: Service, format: Format, mounted: Mounted | None) -> Response:
    """Writes line protocol, as in InfluxDB 1.x: the parameter `db` names the database."""
    principal = await service.login(call, mounted)
    asked = call.url_pairs
    precision = asked.get("precision", "")
    if precision not in _PRECISIONS:
        raise BadRequest(f"invalid precision {go_quote(precision)} (use n, u, ms, s, m or h)")
    line = Line(asked.get("db", ""), asked.get("rp", ""), precision, asked.get("consistency", ""))
    return await _write(call, service, principal, line, format, mounted)


async def write_v2(
    call: Call, service: Service, format: Format, mounted: Mounted | None
) -> Response:
    """Writes line protocol, as InfluxDB 1.8 accepts InfluxDB 2's API.

    The parameter `bucket` is DATABASE or DATABASE/POLICY.
    """
    principal = await service.login(call, mounted)
    asked = call.url_pairs
    line = bucket_line(asked.get("bucket", ""), asked.get("precision", ""))
    return await _write(call, service, principal, line, format, mounted)


def bucket_line(bucket: str, precision: str) -> Line:
    """Returns the InfluxDB 1.x parameters for those of InfluxDB 2.

    Raises BadRequest for an unknown *precision*, BucketMissing for a *bucket* without a database.
    """
    if precision not in _V2_PRECISIONS:
        raise BadRequest(f"invalid precision {go_quote(precision)} (use ns, us, ms or s)")
    database, slash, policy = bucket.partition("/")
    if not database:
        fault = (
            "is in db/rp form but has an empty database"
            if slash
            else ('is missing a slash; not in "database/retention-policy" format')
        )
        raise BucketMissing(f"bucket name {go_quote(bucket)} {fault}")
    return Line(database, policy, _V2_PRECISIONS[precision])


async def _write(
    call: Call,
    service: Service,
    principal: Principal,
    line: Line,
    format: Format,
    mounted: Mounted | None,
) -> Response:
    """Authorizes the write, then forwards it. Rejects it if there is no upstream store.

    Raises CannotWrite in that case: data is never accepted and dropped.
    """
    store = await writable(call, service, principal, line.database, mounted)
    limit = service.settings.max_body_size
    if store is None:
        async for _ in _lines(call, limit):
            pass  # the body is read, so that the client receives the response
        raise CannotWrite(upstream=bool(service.gateway.all))
    call.at_end(service.gateway.limits.enter(principal))
    return await store.write(call, line, limit, format)


async def writable(
    call: Call, service: Service, principal: Principal, database: str, mounted: Mounted | None
) -> Store | None:
    """Returns the store of *mounted*, if *principal* may write to *database*, or None without one.

    Records a denied write in the audit. Raises CrossSite, BadRequest, WriteDenied, DatabaseMissing.
    """
    if call.cross_site:
        raise CrossSite
    if not database:
        raise BadRequest("database is required")
    call.note.database = readable(database)
    store = mounted.store if mounted is not None else None
    try:
        await _authorize(service, principal, database, store)
    except WriteDenied:
        requires = f"requires WRITE on {readable(database)}"
        service.recorder.refused(principal.name, call.origin, "-- write", requires)
        raise
    return store


def _lines(call: Call, limit: int) -> AsyncGenerator[bytes, None]:
    """Returns the chunks of the decompressed body.

    They raise TooLarge if the body has more than *limit* bytes, before or after decompression.
    """
    sent = body(call, limit)
    if call.headers.get("content-encoding", "") == "gzip":
        return decompressed(sent, limit)
    return sent


async def _authorize(
    service: Service, principal: Principal, database: str, store: Store | None
) -> None:
    """Raises WriteDenied, or DatabaseMissing if *principal* may write to *database*.

    Differs from InfluxDB, whose responses reveal to every user which databases exist.
    """
    user = principal.user
    need = Need(Privilege.WRITE, database)
    if user is not None and not allows(user, need):
        raise WriteDenied(
            f"{go_quote(user.name)} user is not authorized to write to database"
            f" {go_quote(database)}"
        )
    if user is None and not principal.trusted:
        raise WriteDenied(f"user is required to write to database {go_quote(database)}")
    await present(service, database, store)


async def present(service: Service, database: str, store: Store | None) -> None:
    """Adds *database* to the catalog if only *store* has it. Raises DatabaseMissing if neither."""
    name = readable(database)
    if service.store.database(name) is None:
        if store is None or not await store.catalogue.adopt([name]):
            raise DatabaseMissing(f"database not found: {go_quote(database)}")
