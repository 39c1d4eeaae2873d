"""A server of InfluxDB 1.x's HTTP API.

Statements go in the body of a POST, never in a URL: URLs end up in logs and in error messages.
"""

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from headgate_shell.backends.base import CannotReach, Points, Response
from headgate_shell.backends.http1 import Answer, NotHttp, exchange
from headgate_shell.backends.socket import dial, proxy_for
from headgate_shell.go_space import JSON_SPACE
from headgate_shell.output.numbers import Number

if TYPE_CHECKING:
    from headgate_shell.backends.proxy import Proxy
    from headgate_shell.session import Session


class HttpServer:
    """Whatever the session says: host and port, a unix socket, with TLS or without."""

    def ping(self, session: "Session") -> str:
        _, headers, _ = _send(session, "GET", "/ping")
        return headers.get("x-influxdb-version", "")

    def query(self, session: "Session", text: str) -> Response:
        try:
            body = _encoded(_fields(session, text))
        except UnicodeEncodeError:  # half a character, of a name that a server sent, for instance
            return Response([], "the statement has an invalid character and cannot be sent")
        status, _, content = _send(session, "POST", "/query", body)
        response = _documents(content)
        if response is None and not (status == 200 and not content):
            return Response([], f"received status code {status} from server")
        return response or Response([])

    def write(self, session: "Session", points: Points) -> str:
        fields = {"consistency": session.consistency, "db": points.database}
        if session.precision != "rfc3339":
            fields["precision"] = session.precision
        if points.retention_policy:
            fields["rp"] = points.retention_policy
        path = f"/write?{_encoded(fields).decode()}"
        lines = points.lines.encode("utf-8", "surrogateescape")
        status, _, content = _send(session, "POST", path, lines, "text/plain; charset=utf-8")
        if status in (200, 204):
            return ""
        said = content.decode("utf-8", "replace")
        return said or f"received status code {status} from server"


def _fields(session: "Session", text: str) -> dict[str, str]:
    fields = {"db": session.database, "q": text}
    if session.chunked:
        fields["chunked"] = "true"
        if session.chunk_size:
            fields["chunk_size"] = str(session.chunk_size)
    if session.precision != "rfc3339":
        fields["epoch"] = session.precision
    if session.retention_policy:
        fields["rp"] = session.retention_policy
    if session.node:
        fields["node_id"] = str(session.node)
    return fields


def _encoded(fields: dict[str, str]) -> bytes:
    return urlencode(fields, errors="surrogateescape").encode()


def _send(
    session: "Session",
    method: str,
    path: str,
    body: bytes | None = None,
    kind: str = "application/x-www-form-urlencoded",
) -> Answer:
    proxy = None
    try:
        proxy = proxy_for(session)
        target = f"{_prefix(session)}{path}"
        headers = _headers(session, kind if body is not None else "")
        if proxy and not session.ssl:
            target, headers = f"{session.url}{target}", headers | proxy.headers()
        with dial(session, proxy) as connection:
            return exchange(connection, method, target, headers, body)
    except OSError as error:
        raise _cannot_reach(session, error, proxy) from None
    except NotHttp as error:
        raise CannotReach(session.where, str(error)) from None
    except UnicodeError:
        raise CannotReach(session.where, "no such host") from None
    except ValueError as error:
        raise CannotReach(session.where, str(error)) from None


def _prefix(session: "Session") -> str:
    prefix = session.path_prefix.strip("/")
    return f"/{quote(prefix, safe='/%')}" if prefix else ""


def _headers(session: "Session", kind: str) -> dict[str, str]:
    headers = {"Host": session.address, "User-Agent": "HeadgateShell", "Connection": "close"}
    if kind:
        headers["Content-Type"] = kind
    if session.token:
        headers["Authorization"] = f"Bearer {session.token}"
    elif session.username:
        pair = f"{session.username}:{session.password}".encode("utf-8", "surrogateescape")
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
    return headers


def _cannot_reach(session: "Session", error: OSError, proxy: "Proxy | None") -> CannotReach:
    reason = getattr(error, "reason", None)  # of TLS's own errors
    if reason is not None:
        plain = reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
        said = "http: server gave HTTP response to HTTPS client" if plain else str(reason)
        return CannotReach(session.where, said)
    place = f"unix {session.socket}" if session.socket else f"tcp {session.host}:{session.port}"
    if proxy is not None:
        place = f"proxy {proxy.host}:{proxy.port}"
    return CannotReach(
        session.where, (error.strerror or str(error)).lower(), f"dial {place}: connect"
    )


def _is_result(result: object) -> bool:
    """Whether it has the form of one: series with columns, and rows of as many values."""
    if not isinstance(result, dict):
        return False
    series = result.get("series") or []
    return isinstance(series, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("columns"), list)
        and isinstance(one.get("values") or [], list)
        and all(isinstance(row, list) for row in one.get("values") or [])
        for one in series
    )


def _documents(content: bytes) -> Response | None:
    """JSON documents one after the other as one response; None if there is anything else."""
    decoder = json.JSONDecoder(parse_float=Number)
    text = content.decode("utf-8", "replace").strip(JSON_SPACE)
    results: list[dict[str, Any]] = []
    position = 0
    if not text:
        return None
    while position < len(text):
        try:
            document, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return None
        found = document.get("results") or [] if isinstance(document, dict) else None
        if not isinstance(found, list) or not all(map(_is_result, found)):
            return None
        results.extend(found)
        if document.get("error"):
            return Response(results, str(document["error"]))
        while position < len(text) and text[position] in JSON_SPACE:
            position += 1
    return Response(results)
