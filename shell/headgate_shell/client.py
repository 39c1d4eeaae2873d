"""A server of InfluxDB 1.x's HTTP API, asked over the standard library's http.client.

Statements go in the body of a POST, never in a URL: URLs end up in logs and in error messages.
"""

import base64
import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from headgate_shell.numbers import Number
from headgate_shell.session import Session

_TIMEOUT_SECONDS = 60


class CannotReach(Exception):
    """No answer. The text names the server and the reason, and nothing of the request."""


@dataclass(frozen=True, slots=True)
class Response:
    """Results as the server sent them, chunks put together, and its error if there is one."""

    results: list[dict[str, Any]]
    error: str = ""

    @property
    def first_error(self) -> str:
        """The error of the whole, or else of the first result that has one."""
        if self.error:
            return self.error
        return next((str(result["error"]) for result in self.results if "error" in result), "")


def ping(session: Session) -> str:
    """The server's version, "" if it does not say. Raises CannotReach."""
    _, headers, _ = _send(session, "GET", "/ping")
    return headers.get("X-Influxdb-Version") or ""


def query(session: Session, text: str) -> Response:
    """What the server answers to the statements *text*. Raises CannotReach."""
    fields = {"chunked": "true", "db": session.database, "q": text}
    if session.precision != "rfc3339":
        fields["epoch"] = session.precision
    if session.retention_policy:
        fields["rp"] = session.retention_policy
    body = urlencode(fields, errors="surrogateescape").encode()
    status, _, content = _send(session, "POST", "/query", body)
    response = _documents(content)
    if response is None and not (status == 200 and not content):
        return Response([], f"received status code {status} from server")
    return response or Response([])


def _send(
    session: Session, method: str, path: str, body: bytes | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    headers = {"User-Agent": "HeadgateShell"}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if session.username:
        pair = f"{session.username}:{session.password}".encode("utf-8", "surrogateescape")
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
    connection = _connection(session)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    except ssl.SSLError as error:
        raise CannotReach(f"{session.where}: {error.reason or error}") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotReach(f"{session.where}: {reason}") from None
    except UnicodeError:
        raise CannotReach(f"{session.where}: no such host") from None
    except http.client.HTTPException as error:
        raise CannotReach(f"{session.where}: no HTTP answer ({type(error).__name__})") from None
    finally:
        connection.close()


def _connection(session: Session) -> http.client.HTTPConnection:
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
        raise CannotReach(f"{session.where}: no such host") from None


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
