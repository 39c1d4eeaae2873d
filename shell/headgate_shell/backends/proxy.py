"""Reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY by the rules of Go's net/http, which influx follows.

Loopback addresses never use a proxy. Variable names may be in lower case. A value of HTTP_PROXY
or HTTPS_PROXY is a URL or `host:port`.
"""

import base64
import ipaddress
import os
import socket
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment

from headgate_shell.backends.http1 import ProtocolError, send_request

_INVALID_PROXY = "the proxy in the environment is not http://HOST:PORT"


class Proxy(NamedTuple):
    """Address of a proxy, and its header Proxy-Authorization ("" for none)."""

    host: str
    port: int
    authorization: str = ""

    def headers(self) -> dict[str, str]:
        """Returns the headers that log in to the proxy; empty if it needs no login."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}

    def open_tunnel(self, connection: socket.socket, address: str) -> None:
        """Opens a tunnel through the proxy to *address*, by CONNECT on *connection*.

        *connection* is connected to the proxy. Raises OSError if it fails, and ProtocolError if the
        proxy does not answer 200.
        """
        headers = {"Host": address, **self.headers()}
        answer = send_request(connection, "CONNECT", address, headers, None)
        if answer.status != 200:
            raise ProtocolError(f"the proxy answered {answer.status}")


def proxy_from_environment(host: str, port: int, *, ssl: bool) -> Proxy | None:
    """Returns the proxy for the server at *host* and *port*, or None for a direct connection.

    The variable is HTTPS_PROXY if *ssl* is True, else HTTP_PROXY. Raises ValueError if its value is
    not the URL of an http proxy. A proxy of
    another kind, such as https, would receive the login of the URL unencrypted.
    """
    if _is_loopback(host) or _bypasses_proxy(host, port):
        return None
    url = getproxies_environment().get("https" if ssl else "http", "")
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        number = parts.port or 80
    except ValueError:  # its message could contain a password
        raise ValueError(_INVALID_PROXY) from None
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(_INVALID_PROXY)
    authorization = ""
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(login.encode()).decode()
    return Proxy(parts.hostname, number, authorization)


def _bypasses_proxy(host: str, port: int) -> bool:
    """Returns whether NO_PROXY names the server: its address, network, name, domain, or `*`."""
    text = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    return any(
        _entry_matches(entry.strip().lower(), host.lower(), port) for entry in text.split(",")
    )


def _entry_matches(entry: str, host: str, port: int) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # *host* or *entry* is a name
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit():
        if int(number) != port:
            return False
        entry = name.strip("[]")
    domain = entry.removeprefix("*")
    return host.endswith(domain if domain.startswith(".") else f".{domain}") or host == entry


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
