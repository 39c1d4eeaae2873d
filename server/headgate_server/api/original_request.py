"""Forward authentication: reads the client's original request from another proxy's subrequest.

nginx's auth_request, Traefik's ForwardAuth, Caddy's forward_auth and Envoy's ext_authz each
describe the original request in other headers. If the path names the proxy, only the headers of
that proxy are read: the client may have set the headers of the other proxies.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from headgate_server.http.request import Request

FORWARD_AUTH_PREFIX = b"/auth"
_METHOD_PATTERN = re.compile(r"[A-Z]{1,20}")
_FORWARDED_HEADERS = ("x-forwarded-uri", "x-forwarded-method")
# By the proxy's name in the path: pairs of the headers with the original URI and with its method.
_HEADERS_BY_PROXY: Mapping[str, Sequence[tuple[str, str]]] = {
    "nginx": [("x-original-uri", "x-original-method"), ("x-original-url", "x-original-method")],
    "traefik": [_FORWARDED_HEADERS],
    "caddy": [_FORWARDED_HEADERS],
    "": [
        ("x-original-uri", "x-original-method"),
        ("x-original-url", "x-original-method"),
        _FORWARDED_HEADERS,
    ],
}


class AmbiguousRequest(Exception):
    """The original request is ambiguous, or only Headgate as the proxy can serve it.

    The answer to the other proxy is 403.
    """


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    """A client's request to another proxy. *path* and *query* are the bytes that the client sent.

    The proxy describes it in its own request to Headgate, the subrequest. *upstream* is the name of
    the upstream store in the subrequest's path. *address* is the client's address, and *host* is
    the client's header `Host`. *body_included* is True if the subrequest has the complete body.
    """

    proxy_kind: str  # nginx, traefik, caddy, envoy, or "" if the path names no proxy
    upstream: str
    method: str
    path: bytes
    query: bytes
    address: str
    host: str
    body_included: bool

    @property
    def can_rewrite(self) -> bool:
        """Whether the proxy can replace the client's URL query by the one that Headgate returns."""
        return self.proxy_kind in ("nginx", "caddy")


def read_original_request(request: Request) -> OriginalRequest:
    """Returns the original request, which the proxy's subrequest *request* describes.

    Envoy appends the original path and query to its own path. The other proxies send headers: then
    the query of *request* is ignored, because a client may have chosen it. Raises AmbiguousRequest
    if the description is missing or contradicts itself.
    """
    proxy_kind, _, rest = (
        request.raw_path.removeprefix(FORWARD_AUTH_PREFIX)
        .lstrip(b"/")
        .decode("latin-1")
        .partition("/")
    )
    if proxy_kind == "envoy":
        upstream, slash, path = rest.partition("/")
        if not upstream or not slash:
            raise AmbiguousRequest("expected /auth/envoy/UPSTREAM and then the original path")
        original_path = f"/{path}".encode("latin-1")
        return _build_request(
            request, proxy_kind, upstream, request.method, original_path, request.query
        )
    if proxy_kind not in _HEADERS_BY_PROXY:
        raise AmbiguousRequest("expected /auth/nginx, traefik, caddy or envoy")
    requests = {_read_headers(request, *source) for source in _HEADERS_BY_PROXY[proxy_kind]} - {
        None
    }
    if len(requests) != 1:
        raise AmbiguousRequest("expected headers that describe one original request")
    uri, method = requests.pop() or ("", "")
    target, _, query_text = uri.partition("?")
    return _build_request(
        request, proxy_kind, rest, method, _header_bytes(target), _header_bytes(query_text)
    )


def _header_bytes(text: str) -> bytes:
    return text.encode("latin-1")  # the bytes as sent: headers are decoded as Latin-1


def _build_request(
    request: Request, proxy_kind: str, upstream: str, method: str, path: bytes, query: bytes
) -> OriginalRequest:
    if _METHOD_PATTERN.fullmatch(method) is None:
        raise AmbiguousRequest("expected a header with the original method")
    length = request.headers.get("content-length", "0")
    body = length != "0" or "transfer-encoding" in request.headers
    partial = request.headers.get("x-envoy-auth-partial-body", "false") != "false"
    address, host = _client_address(request, proxy_kind), _client_host(request)
    return OriginalRequest(
        proxy_kind, upstream, method, path, query, address, host, body and not partial
    )


def _read_headers(request: Request, uri_header: str, method_header: str) -> tuple[str, str] | None:
    """Returns the URI in *uri_header* and the method in *method_header*.

    Returns None if *uri_header* is absent. Raises AmbiguousRequest if the URI is invalid or has a
    fragment, or if several values of a header differ.
    """
    found = _single_header(request, uri_header)
    if found is None:
        return None
    if uri_header == "x-original-url":
        try:
            parts = urlsplit(found)
        except ValueError:
            raise AmbiguousRequest("invalid URI") from None
        found = parts.path + (f"?{parts.query}" if parts.query else "")
    if "#" in found:
        raise AmbiguousRequest("a fragment in the URI: servers interpret it differently")
    return found, _single_header(request, method_header) or ""


def _single_header(request: Request, name: str) -> str | None:
    """Returns the value of the header *name*, or None if it is absent.

    Raises AmbiguousRequest if several values differ.
    """
    values = set(request.headers.getlist(name))
    if len(values) > 1:
        raise AmbiguousRequest(f"several headers {name}")
    return values.pop() if values else None


def _client_address(request: Request, proxy_kind: str) -> str:
    """Returns the client's address that the proxy reports, or else the proxy's own address.

    nginx sets X-Real-IP in the documented configuration. The other proxies do not set X-Real-IP,
    so a client could forge it. These proxies append the client's address to X-Forwarded-For: its
    last address is read.
    """
    forwarded = request.headers.getlist("x-forwarded-for")
    text = forwarded[-1].rpartition(",")[2] if forwarded else ""
    if proxy_kind == "nginx":
        text = request.headers.get("x-real-ip", "")
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return request.peer


def _client_host(request: Request) -> str:
    """Returns the header `Host` that the client sent to the proxy.

    Traefik and Caddy send that value as `X-Forwarded-Host`, ingress-nginx within `X-Original-URL`.
    Envoy, and nginx in the documented configuration, keep `Host`. In a browser, a page of another
    site cannot set any of these headers.
    """
    forwarded = request.headers.get("x-forwarded-host").partition(",")[0].strip(" \t")
    if forwarded:
        return forwarded
    try:
        found = urlsplit(request.headers.get("x-original-url")).netloc
    except ValueError:
        found = ""
    return found or request.headers.get("host")
