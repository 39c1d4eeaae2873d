"""Forward authentication: tells another proxy, such as nginx, whether a request is authorized.

The answer to an authorized request is 200, with the user and the database in headers. The answer to
any other request is 401 or 403, because nginx treats other statuses as a fault. If Headgate cannot
decide now, the answer is 503.
"""

import json
from collections.abc import Mapping
from functools import partial

from headgate_engine import (
    AuthenticationFailed,
    Principal,
)
from headgate_server.api.challenge import challenge
from headgate_server.api.error_statuses import error_status_for
from headgate_server.api.forward_auth_influxdb import (
    AuthorizedRequest,
    authorize_influx,
    check_cross_site,
)
from headgate_server.api.original_request import (
    FORWARD_AUTH_PREFIX,
    AmbiguousRequest,
    OriginalRequest,
    read_original_request,
)
from headgate_server.api.proxy import (
    encode_header,
    must_rewrite_labels,
    require_token,
    upstream_target,
)
from headgate_server.app_context import AppContext
from headgate_server.auth.browser_logins import SAFE_METHODS, is_browser_login
from headgate_server.auth.credentials import Password, RequestCredentials, read_credentials
from headgate_server.auth.errors import TooManyFailures, Unauthenticated
from headgate_server.auth.proxy_user import proxy_user_of
from headgate_server.formats import JsonEncoder
from headgate_server.gateway.authorization import (
    RouteNotFound,
    RouteRequest,
    authorize_route,
    match_route,
    requested_tenants,
)
from headgate_server.gateway.errors import Forbidden
from headgate_server.gateway.local_paths import (
    ENDPOINTS,
    Requirement,
    accepts_cookie,
    accepts_guest,
    local_pattern,
)
from headgate_server.gateway.mount import Mount
from headgate_server.gateway.path import validated_path
from headgate_server.http.errors import CrossSiteRequest
from headgate_server.http.go_text import replace_invalid
from headgate_server.http.request import Request
from headgate_server.http.response import Response, to_raw_headers
from headgate_server.http.trusted_proxies import address_with_peer, is_trusted
from headgate_server.http.urlencoded import check_pair_count, parse_urlencoded
from headgate_server.telemetry.log_message import log_message
from headgate_server.upstream.headers import (
    DATABASE_HEADER,
    QUERY_HEADER,
    TENANT_HEADER,
    USER_HEADER,
)

_ERROR_BODY_HEADER = "X-Auth-Error-Body"
_MAX_ERROR_CHARS = 1024


async def forward_auth(request: Request, context: AppContext) -> Response:
    """Returns the response to *request*, with which a proxy asks about a client's request.

    Errors of authentication and authorization become responses. An unforeseen error is raised.
    """
    trusted = is_trusted(context.gateway.forward_auth_networks, request.peer)
    if request.lacks_source or not trusted:
        return _error_response(403, "not a trusted proxy: see trusted-proxies in [gateway]", "")
    realm = context.settings.realm
    client_address = request.peer
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
            origin = address_with_peer(client_address, request.peer)
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
    # Empty headers are sent, too: with them the proxy replaces headers that the client has forged.
    return Response(raw_headers=to_raw_headers(headers))


def _error_response(
    status: int, text: str, realm: str, headers: Mapping[str, str] | None = None
) -> Response:
    response_headers = {"Content-Type": "application/json", **(headers or {})}
    # nginx drops the body of this answer, but can pass its headers to the client.
    response_headers[_ERROR_BODY_HEADER] = json.dumps({"error": text[:_MAX_ERROR_CHARS]})
    if status == 401:
        response_headers["WWW-Authenticate"] = challenge(realm)
    else:
        response_headers["X-Influxdb-Error"] = encode_header(text[:_MAX_ERROR_CHARS])
    return Response(JsonEncoder().encode_error(text), status, to_raw_headers(response_headers))


def _find_mount(context: AppContext, original_request: OriginalRequest) -> Mount:
    """Returns the upstream store that *original_request* names.

    If it names no store, returns the only upstream store. Raises AmbiguousRequest for an unknown
    name, or if there is no name and not exactly one store.
    """
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
        match = match_route(mount, view) if mount.proxied is not None else None
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
    principal = await _authenticate(request, context, mount, original_request)
    principal = require_token(principal, mount)
    authorized = authorize_route(mount, context.engine, match, principal)
    check_cross_site(request, changes=authorized.route.privilege != "READ")
    if authorized.path != path:
        raise AmbiguousRequest(
            "a path that only Headgate itself can rewrite: name the database otherwise"
        )
    assert mount.proxied is not None
    api = mount.proxied.api
    if (
        not api.has_tenant_header
        and not original_request.can_rewrite
        and not principal.has_full_access
    ):
        # Without Headgate's rewritten query the request lacks the label that confines it.
        raise AmbiguousRequest(
            f"{original_request.proxy_kind} cannot confine a request:"
            " ask Headgate as the proxy itself"
        )
    if authorized.route.answer and not principal.has_full_access:
        raise AmbiguousRequest("Headgate answers this path itself: ask it as the proxy itself")
    if must_rewrite_labels(authorized, api) and authorized.route.format != "csv":
        raise AmbiguousRequest(
            "Headgate cannot read labels in a body that another proxy forwards:"
            " ask Headgate as the proxy itself, or set overwrite-label = true and max-labels = 0"
        )
    _, _, query = upstream_target(authorized, api, original_request.query).partition("?")
    decision = authorized.decision
    tenant = decision.tenant if api.has_tenant_header else ""
    return AuthorizedRequest(principal.name, decision.databases, tenant, query)


async def _authenticate(
    request: Request,
    context: AppContext,
    mount: Mount,
    original_request: OriginalRequest,
    pattern: str = "",
) -> Principal:
    """Returns the principal of *original_request*.

    *pattern* is the key of its path in `ENDPOINTS`; "" for a path of the store. It decides whether
    a session's cookie and a request without a login count. Raises what `authenticate_credentials`
    and `confirm_access` raise, and CrossSiteRequest.
    """
    on_store, proxy = not pattern, context.settings.proxy
    cookie = context.settings.cookie_on_gateway and (on_store or accepts_cookie(pattern))
    credentials = RequestCredentials(
        parse_urlencoded(original_request.query),
        request.headers.getlist,
        cookie_name=context.cookies.name if cookie else "",
        proxy_user=proxy_user_of(request, proxy) if proxy.forward_auth else None,
        accepts_guest=on_store or accepts_guest(pattern),
    )
    principal = await _authenticate_credentials(
        request, context, mount, original_request, credentials
    )
    is_unsafe = original_request.method not in SAFE_METHODS
    if request.cross_site and is_unsafe and is_browser_login(principal):
        raise CrossSiteRequest
    return await context.confirm_access(principal, original_request.address)


async def _authenticate_credentials(
    request: Request,
    context: AppContext,
    mount: Mount,
    original_request: OriginalRequest,
    credentials: RequestCredentials,
) -> Principal:
    """Returns the principal of *credentials*. Raises what `authenticate_credentials` raises.

    A proxy may report a client address that the client itself chose. So a second throttle counts
    a user's failed logins by the proxy's address, as if the proxy were one client.
    A login from an address where this user has logged in before skips that throttle.
    """
    authenticate = partial(
        context.authenticate_credentials,
        credentials,
        original_request.address,
        mount,
        request.peer,
    )
    name = _password_user(credentials)
    if (
        original_request.address == request.peer
        or not name
        or context.has_cached_login(credentials, original_request.address)
    ):
        return await authenticate()
    if context.is_known_client(name, original_request.address):
        return await authenticate()
    throttle, origin = (
        context.forward_auth_throttle,
        address_with_peer(original_request.address, request.peer),
    )
    try:
        throttle.start_attempt(name, request.peer)
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
        throttle.cancel_attempt(name, request.peer)
        raise
    throttle.complete_attempt(name, request.peer)
    return principal


def _password_user(request_credentials: RequestCredentials) -> str:
    """Returns the user name in *request_credentials*.

    Returns "" if the credentials are missing, or are something other than a name and a password.
    """
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
    """Authorizes the original request for the path *pattern* in `ENDPOINTS`.

    Raises RouteNotFound, AmbiguousRequest and what `authorize_influx` and a login raise.
    """
    endpoint = ENDPOINTS[pattern]
    if endpoint.methods and original_request.method not in endpoint.methods:
        raise RouteNotFound(set(endpoint.methods))
    if endpoint.requirement is Requirement.OPEN:
        if not context.settings.ping_auth_enabled:
            return AuthorizedRequest("")
        principal = await _authenticate(request, context, mount, original_request, pattern)
        context.not_anonymous(principal)
        return AuthorizedRequest(principal.name)
    principal = await _authenticate(request, context, mount, original_request, pattern)
    if endpoint.requirement is Requirement.LOCAL_ONLY:
        raise AmbiguousRequest("the path is Headgate's own: route it to Headgate itself")
    if endpoint.requirement in (Requirement.NOT_SERVED, Requirement.STORE_METRICS):
        raise AmbiguousRequest("the path is not served")
    if mount.store is None or mount.proxied is not None:
        raise AmbiguousRequest("Headgate answers this itself: route it to Headgate itself")
    return await authorize_influx(request, context, mount, principal, original_request, endpoint)
