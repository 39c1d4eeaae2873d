"""Forward authentication: authorizes a request that another proxy holds.

The answer is 200 with the identity in headers, or 401 or 403: nginx treats other statuses as a
fault, Envoy accepts only 200. If Headgate cannot decide now, the answer is 503.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from headgate_engine import (
    ANONYMOUS,
    AuthenticationFailed,
    NotAuthorized,
    Principal,
    RequiredPrivilege,
    allows,
    is_read_only,
)
from headgate_grammar import Privilege, ShowContinuousQueries, ShowQueries, Statement
from headgate_server.api.errors import error_status_for
from headgate_server.api.original_request import (
    FORWARD_AUTH_PREFIX,
    AmbiguousRequest,
    OriginalRequest,
    read_original_request,
)
from headgate_server.api.proxy import (
    encode_header,
    must_rename_label,
    require_token,
    upstream_target,
)
from headgate_server.api.write import bucket_write_target
from headgate_server.app_context import AppContext
from headgate_server.auth.credentials import Password, RequestCredentials, read_credentials
from headgate_server.auth.errors import TooManyFailures, Unauthenticated
from headgate_server.formats import JsonEncoder
from headgate_server.gateway.authorization import (
    RouteNotFound,
    RouteRequest,
    authorize_route,
    match_route,
    requested_tenants,
)
from headgate_server.gateway.errors import Forbidden
from headgate_server.gateway.local_paths import ENDPOINTS, Endpoint, Requirement, local_pattern
from headgate_server.gateway.mount import Mount
from headgate_server.gateway.path import validated_path
from headgate_server.http.errors import BadRequest, CrossSiteRequest
from headgate_server.http.form import read_body
from headgate_server.http.go_text import replace_invalid
from headgate_server.http.request import Request
from headgate_server.http.response import Response, to_raw_headers
from headgate_server.http.trusted_proxies import address_with_peer, is_trusted
from headgate_server.http.urlencoded import check_pair_count, iterate_pairs, parse_urlencoded
from headgate_server.query.cheap_parsing import is_cheap_to_parse
from headgate_server.telemetry.log_message import log_message
from headgate_server.upstream.headers import (
    DATABASE_HEADER,
    QUERY_HEADER,
    TENANT_HEADER,
    USER_HEADER,
)
from headgate_server.upstream.influxdb import InfluxStore
from headgate_server.upstream.label_rewriting import DATABASE_LABEL
from headgate_server.upstream.query_string import encode_query

_FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"
_ERROR_BODY_HEADER = "X-Auth-Error-Body"
_MAX_ERROR_CHARS = 1024
# InfluxDB's parameters that change more than the form of the answer: repeated, they are ambiguous.
_SINGLE_PARAMETERS = frozenset(
    {"q", "db", "rp", "epoch", "precision", "bucket", "consistency", "params"}
)


@dataclass(frozen=True, slots=True)
class AuthorizedRequest:
    """An authorized request: the user's name, the databases, the tenant, the rewritten query."""

    name: str
    databases: tuple[str, ...] = ()
    tenant: str = ""
    query: str = ""


async def forward_auth(request: Request, context: AppContext) -> Response:
    """Returns the answer to the forward authentication subrequest *request*.

    Errors of authentication and authorization become answers; an unforeseen error is raised.
    """
    if not is_trusted(context.gateway.forward_auth_networks, request.connection):
        return _error_response(403, "not a trusted proxy: see trusted-proxies in [gateway]", "")
    realm = context.settings.realm
    client_address = request.connection
    try:
        original_request = read_original_request(request)
        client_address = original_request.address
        request.cross_site = context.is_cross_site(
            original_request.method, {**request.headers, "host": original_request.host}
        )
        mount = _find_mount(context, original_request)
        authorized = await _authorize(request, context, mount, original_request)
    except (RouteNotFound, AmbiguousRequest) as error:
        request.log.error = str(error)
        return _error_response(403, str(error), realm)
    except Exception as error:
        error_status = error_status_for(error)
        if error_status is None:
            raise
        request.log.error = log_message(error)
        if isinstance(error, Forbidden):
            origin = address_with_peer(client_address, request.connection)
            context.audit_writer.record_denied(
                error.name, origin, "-- /auth", f"requires {error.need}"
            )
        status = error_status.status if error_status.status == 401 else 403
        if error_status.status >= 429:
            status = 503  # not decided: the proxy may retry
        return _error_response(
            status, error_status.prefix + str(error), realm, error_status.headers
        )
    request.log.user, request.log.database = (
        authorized.name,
        "|".join(map(replace_invalid, authorized.databases)),
    )
    headers = {
        USER_HEADER: encode_header(authorized.name),
        DATABASE_HEADER: encode_header("|".join(authorized.databases)),
        TENANT_HEADER: authorized.tenant,
        QUERY_HEADER: authorized.query,
    }
    # Empty headers are sent, too: the proxy replaces the client's headers with them.
    return Response(raw_headers=to_raw_headers(headers))


def _error_response(
    status: int, text: str, realm: str, headers: Mapping[str, str] | None = None
) -> Response:
    response_headers = {"Content-Type": "application/json", **(headers or {})}
    # nginx passes headers to the client, but no body.
    response_headers[_ERROR_BODY_HEADER] = json.dumps({"error": text[:_MAX_ERROR_CHARS]})
    if status == 401:
        response_headers["WWW-Authenticate"] = f'Basic realm="{realm}"'
    else:
        response_headers["X-Influxdb-Error"] = encode_header(text[:_MAX_ERROR_CHARS])
    return Response(JsonEncoder().encode_error(text), status, to_raw_headers(response_headers))


def _find_mount(context: AppContext, original_request: OriginalRequest) -> Mount:
    """Returns the upstream that *original_request* names. Raises Unclear."""
    mount = context.gateway.find_by_name(original_request.upstream)
    if mount is None:
        raise AmbiguousRequest(
            "no upstream of that name"
            if original_request.upstream
            else "several upstreams: name one"
        )
    return mount


async def _authorize(
    request: Request, context: AppContext, mount: Mount, original_request: OriginalRequest
) -> AuthorizedRequest:
    check_pair_count(original_request.query)
    path = validated_path(original_request.path)
    mount_path = mount.settings.mount
    if mount_path and path.startswith(mount_path + "/"):
        path = path.removeprefix(mount_path)
    below_mount = path.encode() != original_request.path
    request.route = f"{FORWARD_AUTH_PREFIX.decode()} {mount.settings.name}"
    view = RouteRequest(
        original_request.method,
        path,
        original_request.query,
        requested_tenants(request.headers.getlist(TENANT_HEADER)),
    )
    try:
        match = match_route(mount, view) if mount.route_table is not None else None
    except RouteNotFound:
        match = None
        if not local_pattern(mount, path, below_mount=below_mount):
            raise
    if match is None:
        pattern = local_pattern(mount, path, below_mount=below_mount)
        if not pattern:
            raise RouteNotFound(set())
        request.route += f" {pattern}"
        return await _authorize_local_path(request, context, mount, original_request, pattern)
    request.route += f" {match.pattern}"
    principal = require_token(await _authenticate(request, context, mount, original_request), mount)
    authorized = authorize_route(mount, context.engine, match, principal)
    _check_cross_site(request, changes=authorized.route.privilege != "READ")
    if authorized.path != path:
        raise AmbiguousRequest(
            "a path that only Headgate itself can rewrite: name the database otherwise"
        )
    labelled = mount.settings.protocol == "victoriametrics"
    if labelled and not original_request.can_rewrite and not principal.has_full_access:
        # Without Headgate's rewritten query the request lacks the label that confines it.
        raise AmbiguousRequest(
            f"{original_request.proxy_kind} cannot confine a request:"
            " ask Headgate as the proxy itself"
        )
    if must_rename_label(authorized, mount) and authorized.route.format != "csv":
        raise AmbiguousRequest(
            f"a label {DATABASE_LABEL} in the body would be lost: ask Headgate as the proxy itself,"
            " or set overwrite-label"
        )
    _, _, query = upstream_target(authorized, mount, original_request.query).partition("?")
    decision = authorized.decision
    tenant = decision.tenant if mount.settings.protocol != "victoriametrics" else ""
    return AuthorizedRequest(principal.name, decision.databases, tenant, query)


def _check_cross_site(request: Request, *, changes: bool) -> None:
    """Raises CrossSite if a page of another site opens a WebSocket or sends a request that
    *changes* anything.
    """
    # Proxies remove `Upgrade` from the subrequest. A page cannot set this header (RFC 6455).
    if request.cross_site and "sec-websocket-key" in request.headers:
        raise CrossSiteRequest("a WebSocket")
    if request.cross_site and changes:
        raise CrossSiteRequest


async def _authenticate(
    request: Request, context: AppContext, mount: Mount, original_request: OriginalRequest
) -> Principal:
    """Authenticates the original request *original_request*. Raises what a login raises.

    A proxy may pass on an address that the client chose. So a user's failures are also counted for
    the connection, where as many are free as for one address. Logins from an address where the user
    has logged in before are neither counted nor delayed there.
    """
    request_credentials = RequestCredentials(
        parse_urlencoded(original_request.query), request.headers.getlist
    )
    authenticate = partial(
        context.authenticate_credentials,
        request_credentials,
        original_request.address,
        mount,
        request.connection,
    )
    name = _password_user(request_credentials)
    if (
        original_request.address == request.connection
        or not name
        or context.has_cached_login(request_credentials, original_request.address)
    ):
        return await authenticate()
    if context.is_known_client(name, original_request.address):
        return await authenticate()
    throttle, origin = (
        context.forward_auth_throttle,
        address_with_peer(original_request.address, request.connection),
    )
    try:
        throttle.start_attempt(name, request.connection)
    except TooManyFailures:
        if context.engine.user(name) is not None:
            context.audit_writer.record_denied(
                name, origin, "-- login (password)", "too many failed logins"
            )
        raise
    try:
        principal = await authenticate()
    except AuthenticationFailed:
        raise
    except BaseException:
        throttle.cancel_attempt(name, request.connection)
        raise
    throttle.complete_attempt(name, request.connection)
    return principal


def _password_user(request_credentials: RequestCredentials) -> str:
    """Returns the user name if *request_credentials* contains a name and a password, else ""."""
    try:
        found = read_credentials(request_credentials)
    except Unauthenticated:
        return ""
    return found.name if isinstance(found, Password) else ""


async def _authorize_local_path(
    request: Request,
    context: AppContext,
    mount: Mount,
    original_request: OriginalRequest,
    pattern: str,
) -> AuthorizedRequest:
    """Authorizes a request for a path that Headgate, as the proxy, would answer itself.

    Raises NoRoute, Unclear and what `_authorize_influx` and a login raise.
    """
    endpoint = ENDPOINTS[pattern]
    if endpoint.methods and original_request.method not in endpoint.methods:
        raise RouteNotFound(set(endpoint.methods))
    if endpoint.requirement is Requirement.OPEN:
        if not context.settings.ping_auth_enabled:
            return AuthorizedRequest("")
        principal = await _authenticate(request, context, mount, original_request)
        if principal == ANONYMOUS:
            raise Unauthenticated("create admin user first or disable authentication")
        return AuthorizedRequest(principal.name)
    principal = await _authenticate(request, context, mount, original_request)
    if endpoint.requirement is Requirement.LOCAL_ONLY:
        raise AmbiguousRequest("the path is Headgate's own: route it to Headgate itself")
    if endpoint.requirement in (Requirement.NOT_SERVED, Requirement.STORE_METRICS):
        raise AmbiguousRequest("the path is not served")
    if mount.store is None or mount.route_table is not None:
        raise AmbiguousRequest("Headgate answers this itself: route it to Headgate itself")
    return await _authorize_influx(request, context, mount, principal, original_request, endpoint)


async def _authorize_influx(
    request: Request,
    context: AppContext,
    mount: Mount,
    principal: Principal,
    original_request: OriginalRequest,
    endpoint: Endpoint,
) -> AuthorizedRequest:
    """Authorizes a request for one of InfluxDB's own paths.

    Raises Denied, BadRequest, NoRoute, AccessDenied, AuthenticationFailed, CrossSite, ParseError,
    UnparseError, TooLarge, Overloaded.
    """
    names = [name for name, _ in iterate_pairs(original_request.query)]
    if b";" in original_request.query or any(
        name in _SINGLE_PARAMETERS and names.count(name) > 1 for name in names
    ):
        raise BadRequest("ambiguous parameters")
    store = mount.store
    assert store is not None
    if endpoint.influxdb and not store.serves_prometheus_remote:
        raise RouteNotFound(set())
    fields = parse_urlencoded(original_request.query)
    if endpoint.requirement is Requirement.QUERY:
        fields = await _merge_body_parameters(request, context, principal, original_request, fields)
        query = partial(
            _authorize_query, request, context, store.influx, principal, fields, endpoint.parameters
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
    _require_privilege(principal, need)
    _check_cross_site(request, changes=privilege is not Privilege.READ)
    chosen = [(name, fields[name]) for name in endpoint.parameters if fields.get(name)]
    return AuthorizedRequest(principal.name, (need.database,), query=encode_query(chosen))


def _require_privilege(principal: Principal, need: RequiredPrivilege) -> None:
    user = principal.user
    if not need.database:
        raise BadRequest("database is required")
    if user is not None and not allows(user, need):
        raise Forbidden(user.name, need)
    if user is None and not principal.unrestricted:
        raise Forbidden("nobody", need)


async def _merge_body_parameters(
    request: Request,
    context: AppContext,
    principal: Principal,
    original_request: OriginalRequest,
    fields: dict[str, str],
) -> dict[str, str]:
    """Returns *fields*, the URL's parameters, merged with those of a form body.

    Raises Denied if the body is not such a form or not part of the subrequest, unless *principal*
    is unrestricted; BadRequest, TooLarge, Overloaded.
    """
    if original_request.method == "GET":
        return fields  # InfluxDB ignores the body of a GET
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if original_request.body_included and media_type == _FORM_MEDIA_TYPE:
        parts = [part async for part in read_body(request, context.settings.max_query_size)]
        encoded_form = b"".join(parts)
        check_pair_count(encoded_form)
        parse = partial(parse_urlencoded, encoded_form)
        return fields | await context.run_in_thread(
            parse, (principal.name or original_request.address,)
        )
    if not principal.has_full_access:
        raise Forbidden(principal.name, RequiredPrivilege(admin=True))
    return fields


def _authorize_query(
    request: Request,
    context: AppContext,
    store: InfluxStore,
    principal: Principal,
    fields: dict[str, str],
    parameters: tuple[str, ...],
) -> AuthorizedRequest:
    """Parses, authorizes and prints a query.

    Blocking: a long query takes up to a second, so it runs in a thread.

    Raises BadRequest, ParseError, AccessDenied, AuthenticationFailed, CrossSite, UnparseError.
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
        _check_cross_site(request, changes=not is_read_only(statement))
        # The store would answer for its own users, or show all queries to each user.
        partly = isinstance(statement, ShowQueries | ShowContinuousQueries)
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
