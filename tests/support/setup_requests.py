"""Queries to a server that may have no users yet."""

from urllib.parse import urlencode

from support.servers import Answer, Server

# The header that a proxy on the same machine sends for a client on another machine.
REMOTE_CLIENT = {"X-Forwarded-For": "192.0.2.1"}


def send_query(
    server: Server,
    text: str,
    headers: dict[str, str],
    method: str = "POST",
    basic: tuple[str, str] | None = None,
    **more: str,
) -> Answer:
    """Sends the statements *text* and the parameters *more* to `/query`; returns the response."""
    fields = urlencode({"q": text, **more})
    if method == "GET":
        return server.request("GET", f"/query?{fields}", None, headers, basic)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.request("POST", "/query", fields.encode(), {**kind, **headers}, basic)
