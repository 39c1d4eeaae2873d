"""Forward authentication: reads the original request, which another proxy holds.

nginx's auth_request, Traefik's ForwardAuth, Caddy's forward_auth and Envoy's ext_authz each
describe it differently. If the path names the proxy, only the headers of that proxy are read: a
client may have set the others.
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
# By the proxy's name in the path: pairs of the headers with the original URI and with its method.
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
    """The original request is ambiguous, or only Headgate itself can serve it; answered 403."""


@dataclass(frozen=True, slots=True)
class Original:
    """The original request, with its path and query as they were sent.

    *upstream* is the upstream's name in the path of the subrequest, and *address* the client's
    address. *host* is the header `Host` of the client. *body* is True if the subrequest carries the
    complete body.
    """

    kind: str  # of the proxy: nginx, traefik, caddy, envoy, or "" if the path does not name it
    upstream: str
    method: str
    path: bytes
    query: bytes
    address: str
    host: str
    body: bool

    @property
    def rewrites(self) -> bool:
        """Whether this kind of proxy can replace the client's query parameters."""
        return self.kind in ("nginx", "caddy")


def original(call: Call) -> Original:
    """Returns the original request that *call* describes.

    Envoy appends the original path and query to its own path. The other proxies send headers, and
    the query of *call*, which a client may have chosen, is ignored. Raises Unclear if the
    description is missing or contradicts itself.
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
        raise Unclear("expected headers that describe one original request")
    uri, method = found.pop() or ("", "")
    target, _, query_text = uri.partition("?")
    return _made(call, kind, rest, method, _bytes(target), _bytes(query_text))


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")  # the bytes as sent: headers are decoded as Latin-1


def _made(call: Call, kind: str, upstream: str, method: str, path: bytes, query: bytes) -> Original:
    if _METHOD.fullmatch(method) is None:
        raise Unclear("expected a header with the original method")
    length = call.headers.get("content-length", "0")
    body = length != "0" or "transfer-encoding" in call.headers
    partial = call.headers.get("x-envoy-auth-partial-body", "false") != "false"
    address, host = _client(call, kind), _host(call)
    return Original(kind, upstream, method, path, query, address, host, body and not partial)


def _said(call: Call, uri: str, method: str) -> tuple[str, str] | None:
    """Returns the values of the headers *uri* and *method*; None if there is no URI."""
    found = _one(call, uri)
    if found is None:
        return None
    if uri == "x-original-url":
        try:
            parts = urlsplit(found)
        except ValueError:
            raise Unclear("invalid URI") from None
        found = parts.path + (f"?{parts.query}" if parts.query else "")
    if "#" in found:
        raise Unclear("a fragment in the URI: servers interpret it differently")
    return found, _one(call, method) or ""


def _one(call: Call, name: str) -> str | None:
    """Returns the value of the header *name*, or None. Raises Unclear if several values differ."""
    values = set(call.headers.getlist(name))
    if len(values) > 1:
        raise Unclear(f"several headers {name}")
    return values.pop() if values else None


def _client(call: Call, kind: str) -> str:
    """Returns the client's address as the proxy reports it, else the address of the connection.

    nginx sets X-Real-IP in the documented configuration. The other proxies pass on a client's
    X-Real-IP, and append to X-Forwarded-For, so its last address is read.
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

    Traefik and Caddy add `X-Forwarded-Host`, ingress-nginx adds `X-Original-URL`. Envoy, and nginx
    in the documented configuration, keep `Host`. No page in a browser can set one of them for
    another site.
    """
    forwarded = call.headers.get("x-forwarded-host").partition(",")[0].strip(" \t")
    if forwarded:
        return forwarded
    try:
        found = urlsplit(call.headers.get("x-original-url")).netloc
    except ValueError:
        found = ""
    return found or call.headers.get("host")
