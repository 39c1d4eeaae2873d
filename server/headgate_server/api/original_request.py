"""What another proxy asks about: the request that it holds, as far as it says what that is.

nginx's auth_request, Traefik's ForwardAuth, Caddy's forward_auth and Envoy's ext_authz each say it
in their own way; whatever a client may have put in the others' place is not looked at.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from headgate_server.http.request import Call

PREFIX = b"/auth"
_METHOD = re.compile(r"[A-Z]{1,20}")
_FORWARDED = ("x-forwarded-uri", "x-forwarded-method")
# By the name in the path: where the original URI stands, and where its method.
_SOURCES: Mapping[str, Sequence[tuple[str, str]]] = {
    "nginx": [("x-original-uri", "x-original-method"), ("x-original-url", "x-original-method")],
    "traefik": [_FORWARDED],
    "caddy": [_FORWARDED],
    "": [
        ("x-original-uri", "x-original-method"),
        ("x-original-url", "x-original-method"),
        _FORWARDED,
    ],
}


class Unclear(Exception):
    """It cannot be told which request is meant."""


@dataclass(frozen=True, slots=True)
class Original:
    """The request that is asked about: path and query as they were sent; *upstream* is the name in
    our path, *host* the header `Host` of the client, *body* whether its body came along.
    """

    kind: str  # of proxy
    upstream: str
    method: str
    path: bytes
    query: bytes
    address: str
    host: str
    body: bool

    @property
    def rewrites(self) -> bool:
        """Whether such a proxy can put other parameters in the place of the client's."""
        return self.kind in ("nginx", "caddy")


def original(call: Call) -> Original:
    """What *call* asks about. Its own parameters are a client's, and mean nothing.

    Raises Unclear where nothing says so, or different things do.
    """
    kind, _, rest = call.raw_path.removeprefix(PREFIX).lstrip(b"/").decode("latin-1").partition("/")
    if kind == "envoy":
        upstream, slash, path = rest.partition("/")
        if not upstream or not slash:
            raise Unclear("expected /auth/envoy/UPSTREAM and then the original path")
        again = f"/{path}".encode("latin-1")
        return _made(call, kind, upstream, call.method, again, call.query)
    if kind not in _SOURCES:
        raise Unclear("expected /auth/nginx, traefik, caddy or envoy")
    found = {_said(call, *source) for source in _SOURCES[kind]} - {None}
    if len(found) != 1:
        raise Unclear("no header says which request is meant, or several do")
    uri, method = found.pop() or ("", "")
    target, _, query_text = uri.partition("?")
    return _made(call, kind, rest, method, _bytes(target), _bytes(query_text))


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")  # as it came


def _made(call: Call, kind: str, upstream: str, method: str, path: bytes, query: bytes) -> Original:
    if _METHOD.fullmatch(method) is None:
        raise Unclear("no header says which method is meant")
    length = call.headers.get("content-length", "0")
    body = length != "0" or "transfer-encoding" in call.headers
    partial = call.headers.get("x-envoy-auth-partial-body", "false") != "false"
    address, host = _client(call, kind), _host(call)
    return Original(kind, upstream, method, path, query, address, host, body and not partial)


def _said(call: Call, uri: str, method: str) -> tuple[str, str] | None:
    """The URI and the method in the headers of these names; None if there is no URI."""
    found = _one(call, uri)
    if found is None:
        return None
    if uri == "x-original-url":
        try:
            parts = urlsplit(found)
        except ValueError:
            raise Unclear("no URI") from None
        found = parts.path + (f"?{parts.query}" if parts.query else "")
    if "#" in found:
        raise Unclear("a fragment in the URI: servers read it in different ways")
    return found, _one(call, method) or ""


def _one(call: Call, name: str) -> str | None:
    """The header of that name. Raises Unclear if there are several that differ."""
    values = set(call.headers.getlist(name))
    if len(values) > 1:
        raise Unclear(f"several headers {name}")
    return values.pop() if values else None


def _client(call: Call, kind: str) -> str:
    """Whose request it is, as such a proxy says; else the proxy's own address.

    nginx sets X-Real-IP in the example; the others hand on a client's, and add to X-Forwarded-For.
    """
    forwarded = call.headers.getlist("x-forwarded-for")
    text = forwarded[-1].rpartition(",")[2] if forwarded else ""
    if kind == "nginx":
        text = call.headers.get("x-real-ip", "")
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return call.connection


def _host(call: Call) -> str:
    """Returns the header `Host` that the client sent to the proxy.

    Traefik and Caddy add `X-Forwarded-Host`, ingress-nginx `X-Original-URL`; Envoy, and nginx by
    the example, keep `Host`. No page in a browser can set one of them for another site.
    """
    forwarded = call.headers.get("x-forwarded-host").partition(",")[0].strip(" \t")
    if forwarded:
        return forwarded
    try:
        found = urlsplit(call.headers.get("x-original-url")).netloc
    except ValueError:
        found = ""
    return found or call.headers.get("host")
