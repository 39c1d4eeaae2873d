"""Reverse proxy for the HTTP APIs of upstream stores such as Loki or VictoriaMetrics.

Authorizes a request by the store's route table: the privilege that each path requires. Then
rewrites the parameters and headers of the request, and forwards the request.
"""

import json
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from headgate_engine import ANONYMOUS, Principal
from headgate_server.app_context import AppContext
from headgate_server.auth.errors import TokenRejected, Unauthenticated
from headgate_server.config.route import QUERY_ANSWER
from headgate_server.gateway.authorization import (
    AuthorizedRoute,
    RouteRequest,
    authorize_route,
    match_route,
    requested_tenants,
)
from headgate_server.gateway.errors import Forbidden
from headgate_server.gateway.label_filter import rename_own_label
from headgate_server.gateway.mount import Mount
from headgate_server.gateway.path import validated_path
from headgate_server.http.errors import BadRequest, CrossSiteRequest
from headgate_server.http.form import read_body
from headgate_server.http.go_text import replace_invalid
from headgate_server.http.request import Request
from headgate_server.http.response import ASGIResponse, Response, content_headers
from headgate_server.http.urlencoded import parse_urlencoded
from headgate_server.upstream.adapter import BodyHandling, ProxiedAPI
from headgate_server.upstream.connection import Body
from headgate_server.upstream.headers import (
    TENANT_HEADER,
    USER_HEADER,
    client_headers,
    upstream_headers,
)
from headgate_server.upstream.relay import relay_response
from headgate_server.upstream.upstream import Upload

_FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class AuthorizedProxyRequest:
    """An authorized request, with the path and query (*target*) and *headers* to send upstream.

    *authorized* has the route that the request matched, and the databases that it may use.
    """

    principal: Principal
    authorized: AuthorizedRoute
    target: str
    headers: list[tuple[str, str]]


def route_request(request: Request, path: bytes) -> RouteRequest:
    """Returns the parts of *request* that decide its authorization, with *path* as the path.

    Raises BadRequest if *path* is ambiguous, or if values of `X-Scope-OrgID` differ.
    """
    tenants = requested_tenants(request.headers.getlist(TENANT_HEADER))
    return RouteRequest(request.method, validated_path(path), request.query, tenants)


async def authorize_request(
    request: Request, context: AppContext, mount: Mount, path: bytes, *, is_traced: bool
) -> AuthorizedProxyRequest:
    """Authenticates and authorizes *request*, and counts it for the user's request limits.

    With *is_traced*, the headers to send lack those of the client's trace context.

    Raises RouteNotFound, BadRequest, UserLimitExceeded, CrossSiteRequest, what a login raises, and
    what `authorize_route` raises.
    """
    match = match_route(mount, route_request(request, path))
    request.route = f"gateway {mount.settings.name} {match.pattern}"
    try:
        principal = require_token(await context.authenticate(request, mount), mount)
    except Unauthenticated as error:
        context.metrics.count_rejected_tenant(_login_failure_reason(request, error))
        raise
    try:
        authorized = authorize_route(mount, context.engine, match, principal)
    except Forbidden as error:
        what, why = f"-- {mount.settings.name}", f"requires {error.need}"
        context.audit_writer.record_denied(principal.name, request.audit_address, what, why)
        raise
    request.log.database = "|".join(map(replace_invalid, authorized.decision.databases))
    request.on_end(context.gateway.limits.acquire(principal))
    if request.cross_site and authorized.route.privilege != "READ":
        raise CrossSiteRequest
    context.metrics.count_forwarded(authorized.decision.tenant, authorized.route.component)
    assert mount.proxied is not None
    api = mount.proxied.api
    own_headers = mount.own_headers_if_traced if is_traced else mount.own_headers
    identity = identity_headers(api, authorized, principal)
    headers = upstream_headers(request, own_headers, identity)
    return AuthorizedProxyRequest(
        principal, authorized, upstream_target(authorized, api, request.query), headers
    )


def require_token(principal: Principal, mount: Mount) -> Principal:
    """Returns *principal*. Raises Unauthenticated for ANONYMOUS if the store accepts tenant tokens.

    ANONYMOUS means that the user store has no users. Without this error, the answer would ask for a
    first administrator, but a login by token works without an administrator.
    """
    if mount.token_verifier is not None and principal == ANONYMOUS:
        raise Unauthenticated("no valid token")
    return principal


def _login_failure_reason(request: Request, error: Unauthenticated) -> str:
    """Returns the reason of a failed login, as cortex-gateway's metrics name that reason."""
    if not request.headers.get("authorization") and not isinstance(error, TokenRejected):
        return "no_token"
    tenant_invalid = isinstance(error, TokenRejected) and (
        "tenant" in error.reason or error.reason.startswith("no claim ")
    )
    return "tenant_id_not_valid" if tenant_invalid else "token_not_valid"


async def proxy(request: Request, context: AppContext, mount: Mount, path: bytes) -> ASGIResponse:
    """Forwards *request* and returns the store's answer, which may be streamed.

    Raises what `authorize_request` raises, BadRequest, UpstreamError, ComponentNotConfigured,
    UnsupportedWriteFormat, TooLarge, UnsupportedMedia, Overloaded, ClientDisconnect.
    """
    authorized_request = await authorize_request(request, context, mount, path, is_traced=True)
    authorized, headers = authorized_request.authorized, authorized_request.headers
    assert mount.proxied is not None
    if authorized.route.answer:
        return await _own_answer(request, authorized, context)
    upload = await _upstream_body(request, authorized, mount.proxied.api, context)
    if upload is not None:
        headers = _add_body_headers(request, authorized, mount.proxied.api, headers, upload)
    # While the body is streamed, reading it detects a disconnection.
    async with nullcontext() if isinstance(upload, Upload) else request.cancel_on_disconnect():
        reply = await mount.upstream.send(
            request.method,
            authorized_request.target,
            headers,
            upload,
            component=authorized.route.component,
            idempotent=request.method in ("GET", "HEAD"),
        )
    is_redirect = 300 <= reply.status < 400 and reply.status != 304
    if is_redirect and not reply.header("Location").startswith("/"):
        reply.close()
        # A client that follows the redirect would bypass Headgate.
        raise reply.protocol_error(f"status {reply.status}: a redirect outside its paths")
    headers_out = client_headers(reply.headers, mount.settings.mount)
    if reply.status == 304:  # Content-Length describes a body that a 304 lacks
        headers_out = [pair for pair in headers_out if pair[0] != b"content-length"]
    return await relay_response(reply, headers_out, request.scope["http_version"])


async def _own_answer(
    request: Request, authorized: AuthorizedRoute, context: AppContext
) -> Response:
    """Returns the response that the route has in place of the store's. Raises TooLarge."""
    answer = authorized.route.answer
    if answer == QUERY_ANSWER:
        query = request.url_params.get("query", "")
        if request.method == "POST" and _media_type(request) == _FORM_MEDIA_TYPE:
            size = context.settings.max_query_size
            form = b"".join([part async for part in read_body(request, size)])
            query = parse_urlencoded(form).get("query", query)
        answer = json.dumps(query)
    body = f'{{"status":"success","data":{answer}}}'
    return Response(body.encode(), raw_headers=content_headers("application/json"))


def upstream_target(authorized: AuthorizedRoute, api: ProxiedAPI, query: bytes) -> str:
    """Returns the path and query to send to the store of *api*, without the user's credentials.

    For some kinds of stores, the path or the query names the tenant or the database.
    """
    decision = authorized.decision
    return api.upstream_target(
        authorized.route, authorized.path, query, decision.databases, decision.tenant
    )


def identity_headers(
    api: ProxiedAPI, authorized: AuthorizedRoute, principal: Principal
) -> dict[str, str]:
    """Returns the headers that tell the store of *api* the user's name and the tenant."""
    headers = {}
    if principal.name:
        headers[USER_HEADER] = encode_header(principal.name)
    if api.has_tenant_header and authorized.decision.tenant:
        headers[TENANT_HEADER] = authorized.decision.tenant
    return headers


@lru_cache(1024)
def encode_header(text: str) -> str:
    """Returns *text* as a header value, with `%` and all but printable ASCII percent-encoded."""
    if text.isascii() and text.isprintable() and text == text.strip() and "%" not in text:
        return text
    return quote(text.encode("utf-8", "surrogateescape"), safe=" !#$&'()*+,/:;=?@[]^`{|}~")


async def _upstream_body(
    request: Request, authorized: AuthorizedRoute, api: ProxiedAPI, context: AppContext
) -> Body:
    """Returns the body to send to the upstream store, or None if the request has no body.

    Raises BadRequest, TooLarge, and what `rename_own_label` raises.
    """
    if request.method not in ("POST", "PUT", "PATCH", "DELETE"):
        return None
    empty = request.headers.get("content-length", "0") == "0"
    if empty and "transfer-encoding" not in request.headers:
        return None
    settings = context.settings
    handling = _body_handling(authorized, api)
    if handling is BodyHandling.REWRITE_FORM:
        if _media_type(request) != _FORM_MEDIA_TYPE:
            raise BadRequest(f"expected parameters in the URL, or as {_FORM_MEDIA_TYPE}")
        form = b"".join([part async for part in read_body(request, settings.max_query_size)])
        return api.rewrite_form(form)
    if handling is BodyHandling.REWRITE_LABELS:
        return await rename_own_label(
            request,
            authorized.route.format,
            api.label_renamer,
            settings.max_body_size,
            context.run_in_thread,
        )
    return Upload(read_body(request, settings.max_body_size))


def must_rewrite_labels(authorized: AuthorizedRoute, api: ProxiedAPI) -> bool:
    """Returns whether Headgate renames a client's own labels, because it sets them itself."""
    return _body_handling(authorized, api) is BodyHandling.REWRITE_LABELS


def _body_handling(authorized: AuthorizedRoute, api: ProxiedAPI) -> BodyHandling:
    return api.body_handling(authorized.route, authorized.decision.tenant)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _add_body_headers(
    request: Request,
    authorized: AuthorizedRoute,
    api: ProxiedAPI,
    headers: list[tuple[str, str]],
    upload: Body,
) -> list[tuple[str, str]]:
    """Returns *headers*, changed so that they describe the type and length of the body *upload*."""
    length = request.headers.get("content-length", "")
    if must_rewrite_labels(authorized, api):
        if authorized.route.format != "remote-write":  # the body is sent decompressed
            headers = [pair for pair in headers if pair[0].lower() != "content-encoding"]
    elif isinstance(upload, Upload) and length.isascii() and length.isdigit():
        headers.append(("Content-Length", length))
    content_type = request.headers.get("content-type", "")
    sent_type = api.content_type(authorized.route, content_type)
    if sent_type != content_type:
        headers = [pair for pair in headers if pair[0] != "content-type"]
        headers.append(("Content-Type", sent_type))
    return headers
