"""Reads the user that a proxy in front names in a header, and the user's further properties."""

import quopri
from dataclasses import dataclass, field
from typing import ClassVar

from headgate_server.config.auth_proxy import ProxySettings
from headgate_server.http.request import Request
from headgate_server.http.trusted_proxies import UNIX, parse_networks

_MAX_BYTES = 1024


@dataclass(frozen=True, slots=True)
class ProxyUser:
    """The user *name* of `[auth.proxy]`, with the properties in further headers.

    With *fault*, the header proves nothing: the text says why, for the log.
    """

    method: ClassVar = "proxy"
    name: str
    email: str = ""
    full_name: str = ""
    role: str = ""
    groups: tuple[str, ...] = ()
    fault: str = field(default="", compare=False)


def proxy_user_of(request: Request, settings: ProxySettings) -> ProxyUser | None:
    """Returns the user that the proxy names in *request*, or None without the header.

    A header of another spelling, with `_` or `.` for `-`, makes it unclear which one the proxy has
    set. A header of a peer that is not listed is a login that fails.
    """
    if not settings.enabled:
        return None
    wanted = _normalized(settings.header_name)
    spellings = [name for name in request.headers if _normalized(name) == wanted]
    if not spellings:
        return None
    if not _is_listed(settings.whitelist, request.connection):
        return ProxyUser("", fault="a proxy's header of a peer that is not in whitelist")
    values = request.headers.getlist(settings.header_name)
    if len(spellings) != 1 or len(values) != 1:
        return ProxyUser("", fault="a proxy's header more than once, or in another spelling")
    name = _decoded(values[0], encoded=settings.headers_encoded)
    if not name:
        return ProxyUser("", fault="a proxy's header with an invalid name")
    more = {
        what: _decoded(request.headers.get(header), encoded=settings.headers_encoded)
        for what, header in settings.headers.items()
        if not request.headers.is_repeated(header)
    }
    groups = tuple(filter(None, (it.strip() for it in more.get("Groups", "").split(","))))
    email = more.get("Email", "") or (name if settings.header_property == "email" else "")
    return ProxyUser(name, email, more.get("Name", ""), more.get("Role", ""), groups)


def proxy_headers(settings: ProxySettings) -> tuple[str, ...]:
    """Returns the names of the headers that the proxy sets: no upstream store receives them."""
    if not settings.enabled:
        return ()
    return (settings.header_name, *settings.headers.values())


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _is_listed(whitelist: tuple[str, ...], peer: str) -> bool:
    if peer == UNIX:
        return UNIX in whitelist
    networks = parse_networks(tuple(one for one in whitelist if one != UNIX))
    return any(_contains(network, peer) for network in networks)


def _contains(network: object, peer: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(peer) in network  # type: ignore[operator]
    except ValueError:
        return False


def _decoded(value: str, *, encoded: bool) -> str:
    """Returns the text in the header *value*; "" if it is too long, or not printable UTF-8."""
    raw = value.strip(" \t").encode("latin-1")
    if encoded:
        raw = quopri.decodestring(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return ""
    return text if len(raw) <= _MAX_BYTES and text.isprintable() else ""
