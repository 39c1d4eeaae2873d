"""Protection from cross-site requests: detects where a request comes from, by its headers.

If a page of any web site makes a browser send a request to this server, the browser adds a saved
login. The headers of Fetch Metadata (`Sec-Fetch-Site`) show that such a request is cross-site; for
older browsers `Origin` (RFC 6454) shows it.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from headgate_server.http.header_fields import Headers

# In a list of allowed origins: any origin, as in InfluxDB.
ANY_ORIGIN = "*"
_OTHER_SITES = ("cross-site", "same-site")
# Of a login before the host, and what browsers take for another character or drop.
_NO_ORIGIN = frozenset("@\\ ")
_OWN_SITES = ("same-origin", "none")
_PROXY_HEADERS = (
    *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip"),
    *("cf-connecting-ip", "fastly-client-ip", "x-original-uri", "x-original-url"),
)
_BROWSER_FIELDS = frozenset(
    {b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"referer", b"upgrade-insecure-requests"}
)
_BROWSER_HEADERS = ("origin", "sec-fetch-site", "sec-fetch-mode", "referer")


def shows_no_browser(headers: Headers) -> bool:
    """Returns whether no header indicates that a browser sent the request.

    This is a quick check: most requests come from other programs, and need no further checks.
    """
    known: bool | None = headers.memo.get("shows no browser")
    if known is None:
        known = headers.memo["shows no browser"] = _looks_like_a_program(headers)
    return known


def _looks_like_a_program(headers: Headers) -> bool:
    return (
        not headers.has_any(_BROWSER_FIELDS)
        and not headers.raw(b"user-agent").startswith(b"Mozilla/")
        and b"text/html" not in headers.raw(b"accept")
    )


def is_cross_site(headers: Mapping[str, str], allowed: Sequence[str] = ()) -> bool:
    """Returns whether a browser sent the request for a page of another origin.

    Returns False in these cases:

    - The page has the same origin as the request's `Host`.
    - The page's origin is in *allowed*, such as `https://grafana.example:3000`.
    - The headers show no page. Programs other than browsers send neither `Sec-Fetch-Site` nor
      `Origin`.
    """
    origin = headers.get("origin", "")
    if origin and _is_listed(origin, allowed):
        return False
    site = headers.get("sec-fetch-site", "")
    if site in _OTHER_SITES:
        return True
    page = origin or headers.get("referer", "")
    if site in _OWN_SITES or not page:
        return False
    return _host(page) != headers.get("host", "").lower()


def is_any_origin_allowed(headers: Mapping[str, str], allowed: Sequence[str]) -> bool:
    """Returns whether *allowed* has `*`, and the request with *headers* has no cookie.

    A session's cookie is protected from other sites also where any origin is allowed.
    """
    return ANY_ORIGIN in allowed and "cookie" not in headers


def is_origin_allowed(origin: str, allowed: Sequence[str]) -> bool:
    """Returns whether a page of *origin* may read responses: all may if *allowed* is empty."""
    return not allowed or ANY_ORIGIN in allowed or _is_listed(origin, allowed)


def _is_listed(origin: str, allowed: Sequence[str]) -> bool:
    return origin.lower() in (one.lower().rstrip("/") for one in allowed)


def may_be_navigation(method: str, headers: Mapping[str, str]) -> bool:
    """Returns whether a link or an image of another site may have caused a browser's request.

    Such a GET may lack all headers that show its origin. Without TLS, a browser sends neither
    `Sec-Fetch-Site` nor `Origin` to a host with a name, and a page can suppress `Referer`.
    """
    if method != "GET" or headers.get("sec-fetch-site", "") in _OWN_SITES:
        return False
    return _is_browser(headers)


def _is_browser(headers: Mapping[str, str]) -> bool:
    return (
        headers.get("user-agent", "").startswith("Mozilla/")
        or "upgrade-insecure-requests" in headers
        or "text/html" in headers.get("accept", "")
    )


def host_name(host: str) -> str:
    """Returns the name in *host*, a value of `Host`, in lower case and without a port.

    Returns "" for a malformed value.
    """
    try:
        return urlsplit(f"//{host.strip()}").hostname or ""
    except ValueError:
        return ""


def is_origin(text: str) -> bool:
    """Returns whether *text* is an origin: a scheme, a host and optionally a port."""
    if not text.isprintable() or not _NO_ORIGIN.isdisjoint(text):
        return False
    try:
        parts = urlsplit(text)
        return parts.geturl().rstrip("/") == f"{parts.scheme}://{parts.netloc}" and bool(
            parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        )
    except ValueError:
        return False


def _host(origin: str) -> str:
    """Returns the host and port of the URL *origin*, as in the header `Host`.

    Returns "" for `null`, which a browser sends for a page without an origin.
    """
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def is_local(address: str, headers: Mapping[str, str], http_version: str = "1.1") -> bool:
    """Returns whether a program on this machine sent the request: over a unix socket or loopback.

    Returns False in these cases, even if the connection is local:

    - A browser sent the request: a page of any site can make a browser send requests.
    - A header shows a proxy. A proxy that only forwards TCP is not detected.
    - The request uses HTTP/1.0, which nginx uses as a proxy by default.
    - `Host` is a name other than `localhost` and `*.localhost`.
    """
    if any(name in headers for name in (*_PROXY_HEADERS, *_BROWSER_HEADERS)) or _is_browser(
        headers
    ):
        return False
    if any(name.startswith("x-forwarded-") for name in headers):
        return False
    if http_version == "1.0":
        return False
    if not _names_this_machine(headers.get("host", "")):
        return False
    if address == "unix":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def is_dns_rebinding(headers: Mapping[str, str], allowed: Sequence[str] = ()) -> bool:
    """Returns whether a browser's request may be the result of DNS rebinding.

    In DNS rebinding, a site points its own name to this server's address, so that its pages have
    the same origin as this server. Returns False if the request is not from a browser. Returns
    False also if `Host` is an IP address, `localhost` or the host of an *allowed* origin.
    """
    if not any(name in headers for name in _BROWSER_HEADERS):
        return False
    host = headers.get("host", "")
    return not _names_this_machine(host) and host.lower() not in map(_host, allowed)


def _names_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname if host else ""
    except ValueError:
        return False
    if not name or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
