"""A server of InfluxDB 1.x's HTTP API, asked over the standard library's http.client.

Statements go in the body of a POST, never in a URL: URLs end up in logs and in error messages.
"""

import base64
import http.client
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from headgate_shell.numbers import Number
from headgate_shell.server import CannotReach, Points, Response

if TYPE_CHECKING:
    from headgate_shell.session import Session

_TIMEOUT_SECONDS = 60


class HttpServer:
    """Whatever the session says: host and port, a unix socket, with TLS or without."""

    def ping(self, session: "Session") -> str:
        _, headers, _ = _send(session, "GET", "/ping")
        return headers.get("X-Influxdb-Version") or ""

    def query(self, session: "Session", text: str) -> Response:
        status, _, content = _send(session, "POST", "/query", _encoded(_fields(session, text)))
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
) -> tuple[int, http.client.HTTPMessage, bytes]:
    headers = {"User-Agent": "HeadgateShell"}
    if body is not None:
        headers["Content-Type"] = kind
    if session.token:
        headers["Authorization"] = f"Bearer {session.token}"
    elif session.username:
        pair = f"{session.username}:{session.password}".encode("utf-8", "surrogateescape")
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
    connection = _connection(session)
    try:
        prefix = session.path_prefix.strip("/")
        connection.request(method, f"/{prefix}{path}" if prefix else path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    except ssl.SSLError as error:
        plain = error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
        reason = "http: server gave HTTP response to HTTPS client" if plain else str(error.reason)
        raise CannotReach(session.where, reason) from None
    except OSError as error:
        place = f"unix {session.socket}" if session.socket else f"tcp {session.host}:{session.port}"
        reason = (error.strerror or str(error)).lower()
        raise CannotReach(session.where, reason, f"dial {place}: connect") from None
    except UnicodeError:
        raise CannotReach(session.where, "no such host") from None
    except http.client.HTTPException as error:
        raise CannotReach(session.where, f"no HTTP answer ({type(error).__name__})") from None
    finally:
        connection.close()


def _connection(session: "Session") -> http.client.HTTPConnection:
    if session.socket:
        return _UnixConnection(session.socket)
    try:
        if session.ssl:
            context = ssl.create_default_context()
            if session.unsafe_ssl:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            return http.client.HTTPSConnection(
                session.host, session.port, timeout=_TIMEOUT_SECONDS, context=context
            )
        return http.client.HTTPConnection(session.host, session.port, timeout=_TIMEOUT_SECONDS)
    except (http.client.InvalidURL, ValueError):
        raise CannotReach(session.where, "no such host") from None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(self._path)


def _documents(content: bytes) -> Response | None:
    """JSON documents one after the other as one response; None if there is anything else."""
    decoder = json.JSONDecoder(parse_float=Number)
    text = content.decode("utf-8", "replace").strip()
    results: list[dict[str, Any]] = []
    position = 0
    if not text:
        return None
    while position < len(text):
        try:
            document, position = decoder.raw_decode(text, position)
        except ValueError:
            return None
        if not isinstance(document, dict):
            return None
        results.extend(document.get("results", ()))
        if document.get("error"):
            return Response(results, str(document["error"]))
        while text[position : position + 1].isspace():
            position += 1
    return Response(results)
