"""The endpoints /write and /api/v2/write: authorize line protocol, and forward it upstream."""

from collections.abc import AsyncGenerator

from headgate_engine import Principal, RequiredPrivilege, allows
from headgate_grammar import Privilege
from headgate_server.app_context import AppContext
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.errors import (
    DatabaseNotFound,
    InvalidBucketName,
    NoWritableUpstream,
    WriteForbidden,
)
from headgate_server.gateway.mount import DatabaseStore, Mount
from headgate_server.http.errors import BadRequest, CrossSiteRequest
from headgate_server.http.form import read_body
from headgate_server.http.go_text import go_quote, replace_invalid
from headgate_server.http.gzip import decompress
from headgate_server.http.request import Request
from headgate_server.http.response import ASGIResponse
from headgate_server.upstream.line_protocol import WriteTarget

_V1_PRECISIONS = ("", "n", "ns", "u", "ms", "s", "m", "h")
# The precisions of InfluxDB 2, each with its name in InfluxDB 1.x.
_V2_PRECISIONS = {"": "", "ns": "n", "us": "u", "ms": "ms", "s": "s"}


async def write(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Writes line protocol, as in InfluxDB 1.x: the parameter `db` names the database."""
    principal = await context.authenticate(request, mount)
    parameters = request.url_params
    precision = parameters.get("precision", "")
    if precision not in _V1_PRECISIONS:
        raise BadRequest(f"invalid precision {go_quote(precision)} (use n, u, ms, s, m or h)")
    write_target = WriteTarget(
        parameters.get("db", ""),
        parameters.get("rp", ""),
        precision,
        parameters.get("consistency", ""),
    )
    return await _forward_write(request, context, principal, write_target, encoder, mount)


async def write_v2(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> ASGIResponse:
    """Writes line protocol sent with InfluxDB 2's write API, as InfluxDB 1.8 accepts it.

    The parameter `bucket` is DATABASE or DATABASE/POLICY.
    """
    principal = await context.authenticate(request, mount)
    parameters = request.url_params
    write_target = bucket_write_target(
        parameters.get("bucket", ""), parameters.get("precision", "")
    )
    return await _forward_write(request, context, principal, write_target, encoder, mount)


def bucket_write_target(bucket: str, precision: str) -> WriteTarget:
    """Returns the target that the parameters *bucket* and *precision* of InfluxDB 2 name.

    Raises BadRequest for an unknown *precision*, InvalidBucketName for a *bucket* without a
    database.
    """
    if precision not in _V2_PRECISIONS:
        raise BadRequest(f"invalid precision {go_quote(precision)} (use ns, us, ms or s)")
    database, slash, policy = bucket.partition("/")
    if not database:
        problem = (
            "is in db/rp form but has an empty database"
            if slash
            else ('is missing a slash; not in "database/retention-policy" format')
        )
        raise InvalidBucketName(f"bucket name {go_quote(bucket)} {problem}")
    return WriteTarget(database, policy, _V2_PRECISIONS[precision])


async def _forward_write(
    request: Request,
    context: AppContext,
    principal: Principal,
    write_target: WriteTarget,
    encoder: ResultEncoder,
    mount: Mount | None,
) -> ASGIResponse:
    """Authorizes the write, then forwards it to the upstream store of *mount*.

    Raises NoWritableUpstream if *mount* has no store that accepts line protocol, so that the client
    keeps its data.
    """
    store = await authorize_write(request, context, principal, write_target.database, mount)
    max_bytes = context.settings.max_body_size
    if store is None:
        async for _ in _decompressed_body(request, max_bytes):
            pass  # the body is read, so that the client receives the response
        raise NoWritableUpstream(upstream=bool(context.gateway.mounts))
    request.on_end(context.gateway.limits.acquire(principal))
    return await store.influxql.write(request, write_target, max_bytes, encoder)


async def authorize_write(
    request: Request, context: AppContext, principal: Principal, database: str, mount: Mount | None
) -> DatabaseStore | None:
    """Authorizes a write to *database*. Returns the upstream store of *mount*.

    Returns None if *mount* is None, or if its upstream store accepts no line protocol. Records a
    denied write in the audit log. Raises CrossSiteRequest, BadRequest, WriteForbidden,
    DatabaseNotFound.
    """
    if request.cross_site:
        raise CrossSiteRequest
    if not database:
        raise BadRequest("database is required")
    request.log.database = replace_invalid(database)
    store = mount.store if mount is not None else None
    try:
        await _authorize(context, principal, database, store)
    except WriteForbidden:
        requires = f"requires WRITE on {replace_invalid(database)}"
        context.audit_writer.record_denied(
            principal.name, request.audit_address, "-- write", requires
        )
        raise
    return store


def _decompressed_body(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """Returns the chunks of the decompressed body.

    Reading the chunks raises TooLarge if the body has more than *max_bytes* bytes, before or after
    decompression.
    """
    raw_body = read_body(request, max_bytes)
    if request.headers.get("content-encoding", "") == "gzip":
        return decompress(raw_body, max_bytes)
    return raw_body


async def _authorize(
    context: AppContext, principal: Principal, database: str, store: DatabaseStore | None
) -> None:
    """Raises WriteForbidden if *principal* may not write to *database*.

    If *principal* may write, raises DatabaseNotFound if *database* does not exist. InfluxDB itself
    reveals to every user which databases exist; Headgate does not.
    """
    user = principal.user
    required = RequiredPrivilege(Privilege.WRITE, database)
    if user is not None and not allows(user, required):
        raise WriteForbidden(
            f"{go_quote(user.name)} user is not authorized to write to database"
            f" {go_quote(database)}"
        )
    if user is None and not principal.unrestricted:
        raise WriteForbidden(f"user is required to write to database {go_quote(database)}")
    await require_database(context, database, store)


async def require_database(context: AppContext, database: str, store: DatabaseStore | None) -> None:
    """Imports *database* into the catalog in the user store if only the upstream *store* has it.

    Raises DatabaseNotFound if neither store has *database*.
    """
    name = replace_invalid(database)
    if context.store.database(name) is None:
        if store is None or not await store.catalog.import_databases([name]):
            raise DatabaseNotFound(f"database not found: {go_quote(database)}")
