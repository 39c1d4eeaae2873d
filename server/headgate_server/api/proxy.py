"""Reverse proxy for the HTTP APIs of stores with a route table: authorizes, rewrites, forwards."""

from contextlib import nullcontext
from dataclasses import dataclass
from urllib.parse import quote

from headgate_engine import NOBODY, Principal
from headgate_server.app_context import Service
from headgate_server.auth.errors import TokenRejected, Unauthenticated
from headgate_server.gateway.authorization import Judged, View, find, judge, wishes
from headgate_server.gateway.errors import Denied
from headgate_server.gateway.label_filter import kept
from headgate_server.gateway.mount import Mounted
from headgate_server.gateway.path import checked
from headgate_server.http.errors import BadRequest, CrossSite
from headgate_server.http.form import body
from headgate_server.http.go_text import readable
from headgate_server.http.request import Call
from headgate_server.http.response import Response
from headgate_server.upstream.connection import Body
from headgate_server.upstream.headers import TENANT, USER, inward, outward
from headgate_server.upstream.query_string import without_ours
from headgate_server.upstream.relay import relayed
from headgate_server.upstream.upstream import Upload
from headgate_server.upstream.victoriametrics import (
    cluster_path,
    confined,
    confined_columns,
    freed,
    narrowed,
)

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Admitted:
    """An authorized request, with the target and the headers that are sent upstream."""

    principal: Principal
    judged: Judged
    target: str
    headers: list[tuple[str, str]]


def view(call: Call, path: bytes) -> View:
    """Returns the parts of *call* that authorization depends on. Raises BadRequest."""
    asked = wishes(call.headers.getlist(TENANT))
    return View(call.method, checked(path), call.query, asked)


async def admit(call: Call, service: Service, mounted: Mounted, path: bytes) -> Admitted:
    """Authenticates and authorizes *call*, and applies the user's limits.

    Raises NoRoute, BadRequest, Busy, CrossSite, and what a login and `tenant.decide` raise.
    """
    found = find(mounted, view(call, path))
    call.route = f"gateway {mounted.settings.name} {found.pattern}"
    try:
        principal = somebody(await service.login(call, mounted), mounted)
    except Unauthenticated as error:
        service.metrics.kept_out(_reason(call, error))
        raise
    try:
        judged = judge(mounted, service.engine, found, principal)
    except Denied as error:
        what, why = f"-- {mounted.settings.name}", f"requires {error.need}"
        service.recorder.refused(principal.name, call.origin, what, why)
        raise
    call.note.database = "|".join(map(readable, judged.decision.databases))
    call.at_end(service.gateway.limits.enter(principal))
    if call.cross_site and judged.route.privilege != "READ":
        raise CrossSite
    service.metrics.handed_on(judged.decision.tenant.split("|"), judged.route.component)
    secret = mounted.settings.jwt.extra_headers
    headers = inward(call, secret, identity(mounted, judged, principal))
    return Admitted(principal, judged, target(judged, mounted, call.query), headers)


def somebody(principal: Principal, mounted: Mounted) -> Principal:
    """Returns *principal*. Raises Unauthenticated for NOBODY if the store accepts tenant tokens.

    In front of such a store, no administrator has to be created first.
    """
    if mounted.login is not None and principal == NOBODY:
        raise Unauthenticated("no valid token")
    return principal


def _reason(call: Call, error: Unauthenticated) -> str:
    """Returns the reason of a failed login, by the names of cortex-gateway's metrics."""
    if not call.headers.get("authorization") and not isinstance(error, TokenRejected):
        return "no_token"
    named = isinstance(error, TokenRejected) and (
        "tenant" in error.reason or error.reason.startswith("no claim ")
    )
    return "tenant_id_not_valid" if named else "token_not_valid"


async def proxy(call: Call, service: Service, mounted: Mounted, path: bytes) -> Response:
    """Forwards *call* and returns the store's answer, which may be streamed.

    Raises what `admit` raises, BadRequest, UpstreamError, NoComponent, FormatUnknown, TooLarge,
    UnsupportedMedia, Overloaded, ClientDisconnect.
    """
    admitted = await admit(call, service, mounted, path)
    judged, headers = admitted.judged, admitted.headers
    sent = await _body(call, judged, mounted, service)
    if sent is not None:
        headers = _with_body(call, judged, mounted, headers, sent)
    # While its body arrives, the client is connected.
    with nullcontext() if isinstance(sent, Upload) else call.watched():
        reply = await mounted.upstream.send(
            call.method,
            admitted.target,
            headers,
            sent,
            component=judged.route.component,
            again=call.method in ("GET", "HEAD"),
        )
    elsewhere = 300 <= reply.status < 400 and reply.status != 304
    if elsewhere and not reply.header("Location").startswith("/"):
        reply.close()
        raise reply.broken(
            f"status {reply.status}: a redirect outside its paths"
        )  # the client would bypass Headgate
    headers_out = outward(reply.headers, mounted.settings.mount)
    if reply.status == 304:  # the length is that of an absent body
        headers_out = [pair for pair in headers_out if pair[0] != b"content-length"]
    return await relayed(reply, headers_out, call.scope["http_version"])


def target(judged: Judged, mounted: Mounted, query: bytes) -> str:
    """Returns the path and query that are sent to the store."""
    path, decision = judged.path, judged.decision
    if mounted.settings.protocol != "victoriametrics":
        parameters = without_ours(query)
    elif decision.tenant:
        path = cluster_path(path, judged.route.component, decision.tenant)
        parameters = freed(query)
    elif judged.route.format == "csv" and not mounted.settings.overwrite_label:
        parameters = confined_columns(query, decision.databases[0])
    elif judged.route.privilege in ("READ", "WRITE"):
        parameters = confined(query, decision.databases[0])
    else:
        parameters = freed(query)
    return f"{path}?{parameters}" if parameters else path


def identity(mounted: Mounted, judged: Judged, principal: Principal) -> dict[str, str]:
    """Returns the headers with the user and the tenant for the store."""
    headers = {USER: header_text(principal.name)}
    if mounted.settings.protocol != "victoriametrics":
        headers[TENANT] = judged.decision.tenant
    return {name: value for name, value in headers.items() if value}


def header_text(text: str) -> str:
    """Returns *text* for a header: all but printable ASCII, and `%`, is percent-encoded."""
    if text.isascii() and text.isprintable() and text == text.strip() and "%" not in text:
        return text
    return quote(text.encode("utf-8", "surrogateescape"), safe=" !#$&'()*+,/:;=?@[]^`{|}~")


async def _body(call: Call, judged: Judged, mounted: Mounted, service: Service) -> Body:
    """Returns the body that is sent to the store. Raises BadRequest, TooLarge, and as `kept`."""
    if call.method not in ("POST", "PUT", "PATCH", "DELETE"):
        return None
    empty = call.headers.get("content-length", "0") == "0"
    if empty and "transfer-encoding" not in call.headers:
        return None
    settings = service.settings
    if mounted.settings.protocol == "victoriametrics" and judged.route.privilege != "WRITE":
        if _media_type(call) != _FORM:
            raise BadRequest(f"expected parameters in the URL, or as {_FORM}")
        form = b"".join([part async for part in body(call, settings.max_query_size)])
        return narrowed(form).encode()
    if keeps_label(judged, mounted):
        return await kept(call, judged.route.format, settings.max_body_size, service.run)
    return Upload(body(call, settings.max_body_size))


def keeps_label(judged: Judged, mounted: Mounted) -> bool:
    """Returns whether a client's own label `db` must be kept beside that which confines a write."""
    writes = mounted.settings.protocol == "victoriametrics" and judged.route.privilege == "WRITE"
    return writes and not judged.decision.tenant and not mounted.settings.overwrite_label


def _media_type(call: Call) -> str:
    return call.headers.get("content-type", "").partition(";")[0].strip().lower()


def _with_body(
    call: Call, judged: Judged, mounted: Mounted, headers: list[tuple[str, str]], sent: Body
) -> list[tuple[str, str]]:
    """Returns *headers* with those that describe the body *sent*."""
    length = call.headers.get("content-length", "")
    if keeps_label(judged, mounted):
        if judged.route.format != "remote-write":  # the body is sent decompressed
            headers = [pair for pair in headers if pair[0].lower() != "content-encoding"]
    elif isinstance(sent, Upload) and length.isascii() and length.isdigit():
        headers.append(("Content-Length", length))
    if mounted.settings.protocol == "victoriametrics" and judged.route.privilege == "WRITE":
        # VictoriaMetrics would parse a form for parameters.
        kind = call.headers.get("content-type", "")
        if "form" in kind.lower() or not kind:
            headers = [pair for pair in headers if pair[0] != "content-type"]
            headers.append(("Content-Type", "application/octet-stream"))
    return headers
