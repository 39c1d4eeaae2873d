"""Forward authentication for InfluxDB: authorizes a query or a write for another proxy.

The proxy, such as nginx, sends the request to the upstream store only if Headgate authorizes it.
"""

from dataclasses import dataclass
from functools import partial

from headgate_engine import (
    NotAuthorized,
    Principal,
    RequiredPrivilege,
    is_read_only,
)
from headgate_grammar import (
    Privilege,
    ShowContinuousQueries,
    ShowMeasurements,
    ShowQueries,
    Statement,
)
from headgate_server.api.original_request import (
    OriginalRequest,
)
from headgate_server.api.write import bucket_write_target
from headgate_server.app_context import AppContext
from headgate_server.auth.browser_logins import check_change
from headgate_server.gateway.authorization import (
    RouteNotFound,
)
from headgate_server.gateway.database_access import require_privilege
from headgate_server.gateway.local_paths import Endpoint, Requirement
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest, CrossSiteRequest
from headgate_server.http.form import FORM_MEDIA_TYPE, media_type, read_body
from headgate_server.http.go_text import replace_invalid
from headgate_server.http.request import Request
from headgate_server.http.urlencoded import check_pair_count, iterate_pairs, parse_urlencoded
from headgate_server.query.cheap_parsing import is_cheap_to_parse
from headgate_server.upstream.adapter import InfluxQLStore
from headgate_server.upstream.query_string import encode_query

# InfluxDB's parameters that change more than the form of the answer. A repeated parameter is
# rejected: Headgate and the upstream store might read different values.
_SINGLE_PARAMETERS = frozenset(
    {"q", "db", "rp", "epoch", "precision", "bucket", "consistency", "params"}
)


@dataclass(frozen=True, slots=True)
class AuthorizedRequest:
    """An authorized request: the user's name, the databases, the tenant, the rewritten URL query.

    The answer to the proxy has these values in headers.
    """

    name: str
    databases: tuple[str, ...] = ()
    tenant: str = ""
    query: str = ""


def check_websocket(request: Request) -> None:
    """Raises CrossSiteRequest if a page of another site opens a WebSocket."""
    # Sec-WebSocket-Key shows a WebSocket: a page cannot set it (RFC 6455), and proxies remove
    # `Upgrade` from the subrequest.
    if request.cross_site and "sec-websocket-key" in request.headers:
        raise CrossSiteRequest("a WebSocket")


def check_cross_site(request: Request, *, changes: bool) -> None:
    """Raises CrossSiteRequest if a page of another site sent *request*, and it could do harm.

    Two kinds of requests could do harm: a request that opens a WebSocket, and a request that
    changes data (*changes*).
    """
    check_websocket(request)
    if request.cross_site and changes:
        raise CrossSiteRequest


async def authorize_influx(
    request: Request,
    context: AppContext,
    mount: Mount,
    principal: Principal,
    original_request: OriginalRequest,
    endpoint: Endpoint,
) -> AuthorizedRequest:
    """Authorizes *original_request* for a path of InfluxDB's API, such as /query or /write.

    *endpoint* has the methods, the parameters and the requirement of the path.

    Raises Forbidden, BadRequest, RouteNotFound, AccessDenied, AuthenticationFailed,
    CrossSiteRequest, ChangeByGet, ParseError, UnparseError, TooLarge, Overloaded.
    """
    names = [name for name, _ in iterate_pairs(original_request.query)]
    if b";" in original_request.query or any(
        name in _SINGLE_PARAMETERS and names.count(name) > 1 for name in names
    ):
        raise BadRequest("ambiguous parameters")
    store = mount.store
    assert store is not None
    if endpoint.influxdb and not store.influxql.serves_prometheus_remote:
        raise RouteNotFound(set())
    fields = parse_urlencoded(original_request.query)
    if endpoint.requirement is Requirement.QUERY:
        fields = await _merge_body_parameters(request, context, principal, original_request, fields)
        query = partial(
            _authorize_query,
            request,
            context,
            store.influxql,
            principal,
            original_request.method,
            fields,
            endpoint.parameters,
        )
        if is_cheap_to_parse(fields.get("q", "")):
            return query()
        return await context.run_in_thread(query, (principal.name or original_request.address,))
    database = fields.get("db", "")
    if endpoint.requirement is Requirement.BUCKET:
        database = bucket_write_target(
            fields.get("bucket", ""), fields.get("precision", "")
        ).database
    privilege = Privilege.READ if endpoint.requirement is Requirement.READ else Privilege.WRITE
    need = RequiredPrivilege(privilege, replace_invalid(database))
    if not need.database:
        raise BadRequest("database is required")
    require_privilege(principal, need)
    check_cross_site(request, changes=privilege is not Privilege.READ)
    chosen = [(name, fields[name]) for name in endpoint.parameters if fields.get(name)]
    return AuthorizedRequest(principal.name, (need.database,), query=encode_query(chosen))


async def _merge_body_parameters(
    request: Request,
    context: AppContext,
    principal: Principal,
    original_request: OriginalRequest,
    fields: dict[str, str],
) -> dict[str, str]:
    """Returns *fields*, the URL's parameters, merged with the parameters of a form body.

    If the body is not a form, or the proxy does not send the body, Headgate cannot read its
    parameters. Then returns *fields* for a principal with full access, and raises Forbidden for
    other principals. Raises AdminRequiredFirst, BadRequest, TooLarge, Overloaded.
    """
    if original_request.method == "GET":
        return fields  # InfluxDB ignores the body of a GET
    is_form = media_type(request.headers.get("content-type")) == FORM_MEDIA_TYPE
    if original_request.body_included and is_form:
        parts = [part async for part in read_body(request, context.settings.max_query_size)]
        encoded_form = b"".join(parts)
        check_pair_count(encoded_form)
        parse = partial(parse_urlencoded, encoded_form)
        return fields | await context.run_in_thread(
            parse, (principal.name or original_request.address,)
        )
    require_privilege(principal, RequiredPrivilege(admin=True))
    return fields


def _authorize_query(
    request: Request,
    context: AppContext,
    store: InfluxQLStore,
    principal: Principal,
    method: str,
    fields: dict[str, str],
    parameters: tuple[str, ...],
) -> AuthorizedRequest:
    """Parses and authorizes the query in *fields*, and returns it as a new URL query.

    The URL query has the parsed statements as `q`, and those of *fields* that *parameters* names.
    *method* is that of the original request.
    Call this function in a thread: a long query takes up to a second.
    Raises BadRequest, ParseError, AccessDenied, AuthenticationFailed, CrossSiteRequest,
    ChangeByGet, UnparseError.
    """
    text, database = replace_invalid(fields.get("q", "")), replace_invalid(fields.get("db", ""))
    if not text:
        raise BadRequest('missing required parameter "q"')
    engine = context.engine
    # The query may have waited for a thread: the user's current privileges decide.
    current = engine.renew(principal)
    authorize = engine.authorizer(current, database)

    def check(statement: Statement) -> None:
        authorize(statement)
        check_websocket(request)
        if not is_read_only(statement):
            check_change(principal, method, cross_site=request.cross_site)
        # The upstream store would answer about its own users, or show all queries to each user.
        partly = isinstance(statement, ShowQueries | ShowContinuousQueries) or (
            isinstance(statement, ShowMeasurements) and statement.any_database
        )
        if store.is_local(statement) or (partly and not current.has_full_access):
            raise NotAuthorized(current.name, str(statement), "Headgate itself to be asked")

    statements = engine.parse(text, on_statement=check)
    if not statements:
        engine.authorize(current, (), database)
    chosen = [("q", "; ".join(map(store.verified_text, statements)))]
    chosen += [(name, fields[name]) for name in parameters if fields.get(name)]
    return AuthorizedRequest(
        current.name, (database,) if database else (), query=encode_query(chosen)
    )
