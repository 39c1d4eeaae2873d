"""HTTP_PROXY, HTTPS_PROXY and NO_PROXY, by the rules of Go's net/http, which influx obeys.

Never for this machine itself; the variables in capitals or not, as a URL or as `host:port`.
"""

import base64
import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from headgate_shell.wire import NotHttp, exchange


class Proxy(NamedTuple):
    """Where it is, and what it wants to be told of who asks ("" for nothing)."""

    host: str
    port: int
    authorization: str = ""

    def headers(self) -> dict[str, str]:
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}

    def tunnel(self, connection: socket.socket, address: str) -> None:
        """Has *connection*, which is to the proxy, go on to *address*. Raises OSError, NotHttp."""
        headers = {"Host": address, **self.headers()}
        answer = exchange(connection, "CONNECT", address, headers, None)
        if answer.status != 200:
            raise NotHttp(f"the proxy answers {answer.status}")


def from_environment(host: str, port: int, *, ssl: bool) -> Proxy | None:
    """The proxy for that server; None if it is to be asked directly. ValueError if it is no URL."""
    if _is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return None
    url = getproxies_environment().get("https" if ssl else "http", "")
    if not url:
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if not parts.hostname:
        raise ValueError("the proxy is no URL")
    authorization = ""
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(login.encode()).decode()
    return Proxy(parts.hostname, parts.port or 80, authorization)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
