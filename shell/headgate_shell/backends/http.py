"""Implements `Backend` by InfluxDB 1.x's HTTP API.

Statements are sent in the body of a POST, never in a URL: URLs end up in logs and error messages.
"""

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from headgate_shell.backends.access_table import access_table, unknown_name
from headgate_shell.backends.base import (
    ConnectionFailed,
    ConnectionSettings,
    Points,
    RequestOptions,
    Response,
)
from headgate_shell.backends.http1 import HttpResponse, ProtocolError, send_request
from headgate_shell.backends.socket import dial, proxy_for
from headgate_shell.go_space import JSON_SPACE
from headgate_shell.output.numbers import Number

if TYPE_CHECKING:
    from headgate_shell.backends.proxy import Proxy


class HttpBackend:
    """Implements `Backend`: sends each request over a new connection (TCP, TLS, Unix socket)."""

    def ping(self, connection: ConnectionSettings) -> str:
        """Returns the header `X-Influxdb-Version` of `/ping`, or "" without the header.

        Raises ConnectionFailed.
        """
        _, headers, _ = _send(connection, "GET", "/ping")
        return headers.get("x-influxdb-version", "")

    def query(self, connection: ConnectionSettings, text: str, options: RequestOptions) -> Response:
        """Sends the statements *text* to `/query`. Raises ConnectionFailed.

        If the server sends something other than InfluxDB's JSON, the returned response holds an
        error with the status code.
        """
        try:
            body = _urlencode(_query_parameters(text, options))
        except UnicodeEncodeError:  # a lone surrogate, for example of a name that a server sent
            return Response([], "the statement has an invalid character and cannot be sent")
        status, _, content = _send(connection, "POST", "/query", body)
        response = _parse_documents(content)
        if response is None and not (status == 200 and not content):
            return Response([], f"received status code {status} from server")
        return response or Response([])

    def own_grants(self, connection: ConnectionSettings) -> Response | None:
        """Returns the grants of the session's user, from Headgate's `/api/whoami`.

        Returns None for an administrator, or if the server is not Headgate. Raises
        ConnectionFailed.
        """
        status, _, content = _send(connection, "GET", "/api/whoami")
        try:
            found: Any = json.loads(content) if status == 200 else None
            if found["admin"]:
                return None
            rows = [[database, privilege] for database, privilege in found["grants"].items()]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return None
        return Response([{"series": [{"columns": ["database", "privilege"], "values": rows}]}])

    def access(self, connection: ConnectionSettings, name: str) -> Response | None:
        """Returns a table of users and their privileges, from Headgate's `/api/access`.

        Returns None if the server is not Headgate. Raises ConnectionFailed.
        """
        parameters = [{"database": name}, {"name": name}] if name else [{}]
        status, content = 404, b""
        for one in parameters:
            query = f"?{_urlencode(one).decode()}" if one else ""
            status, _, content = _send(connection, "GET", f"/api/access{query}")
            if status != 404:
                break
        try:
            found: Any = json.loads(content)
            if status == 200:
                return access_table(found["users"] if isinstance(found, dict) else found)
            error = str(found["error"])
        except (ValueError, TypeError, LookupError, RecursionError):
            return None
        return unknown_name(name) if status == 404 and name else Response([], error)

    def account_request(
        self, connection: ConnectionSettings, method: str, path: str, content: Any = None
    ) -> tuple[int, Any] | None:
        """Sends *content* as JSON to *path*. Returns the status and the content of the response.

        Returns None if the server is not Headgate. Raises ConnectionFailed.
        """
        body = json.dumps(content).encode() if content is not None else b""
        status, _, answer = _send(connection, method, path, body, "application/json")
        try:
            return status, json.loads(answer) if answer else None
        except (ValueError, RecursionError):
            return None

    def change_own_password(self, connection: ConnectionSettings, password: str) -> str | None:
        """Sets the password of the session's user by Headgate's `/api/user/password`.

        Returns the error, "" on success, or None if the server is not Headgate. Raises
        ConnectionFailed.
        """
        passwords = {"oldPassword": connection.password, "newPassword": password}
        content = {name: _base64(text) for name, text in passwords.items()}
        body = json.dumps(content).encode()
        path, media_type = "/api/user/password", "application/json"
        status, _, answer = _send(connection, "PUT", path, body, media_type)
        if status == 204:
            return ""
        try:
            return str(json.loads(answer)["error"]) if status != 404 else None
        except (ValueError, TypeError, LookupError, RecursionError):
            return None

    def post_json(self, connection: ConnectionSettings, path: str, body: bytes) -> tuple[int, Any]:
        """Sends the JSON *body* to *path*. Returns the status and the content of the response.

        The content is None if it is no JSON. If a response with an error has `Retry-After`, its
        text `error` ends with that time. Raises ConnectionFailed.
        """
        status, headers, body = _send(connection, "POST", path, body, "application/json")
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return status, None
        seconds = headers.get("retry-after", "")
        if seconds.isdecimal() and isinstance(content, dict) and "error" in content:
            content["error"] = f"{content['error']}: try again in {seconds} s"
        return status, content

    def write(self, connection: ConnectionSettings, points: Points, options: RequestOptions) -> str:
        """Sends *points* to `/write`; returns the server's error, or "" on success.

        Raises ConnectionFailed.
        """
        parameters = {"consistency": options.consistency, "db": points.database}
        if options.precision != "rfc3339":
            parameters["precision"] = options.precision
        if points.retention_policy:
            parameters["rp"] = points.retention_policy
        path = f"/write?{_urlencode(parameters).decode()}"
        lines = points.lines.encode("utf-8", "surrogateescape")
        status, _, content = _send(connection, "POST", path, lines, "text/plain; charset=utf-8")
        if status in (200, 204):
            return ""
        error = content.decode("utf-8", "replace")
        return error or f"received status code {status} from server"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _query_parameters(text: str, options: RequestOptions) -> dict[str, str]:
    parameters = {"db": options.database, "q": text}
    if options.chunked:
        parameters["chunked"] = "true"
        if options.chunk_size:
            parameters["chunk_size"] = str(options.chunk_size)
    if options.precision != "rfc3339":
        parameters["epoch"] = options.precision
    if options.retention_policy:
        parameters["rp"] = options.retention_policy
    if options.node:
        parameters["node_id"] = str(options.node)
    return parameters


def _urlencode(parameters: dict[str, str]) -> bytes:
    return urlencode(parameters, errors="surrogateescape").encode()


def _send(
    settings: ConnectionSettings,
    method: str,
    path: str,
    body: bytes | None = None,
    content_type: str = "application/x-www-form-urlencoded",
) -> HttpResponse:
    proxy = None
    try:
        proxy = proxy_for(settings)
        target = f"{_prefix(settings)}{path}"
        headers = _headers(settings, content_type if body is not None else "")
        if proxy and not settings.ssl:
            target, headers = f"{settings.url}{target}", headers | proxy.headers()
        with dial(settings, proxy) as connection:
            response = send_request(connection, method, target, headers, body)
    except OSError as error:
        raise _connection_failed(settings, error, proxy) from None
    except ProtocolError as error:
        raise ConnectionFailed(settings.display_name, str(error)) from None
    except UnicodeError:
        raise ConnectionFailed(settings.display_name, "no such host") from None
    except ValueError as error:
        raise ConnectionFailed(settings.display_name, str(error)) from None
    session = settings.current_session
    if session is not None and "set-cookie" in response.headers:
        session.replace(response.headers["set-cookie"])
    return response


def _prefix(settings: ConnectionSettings) -> str:
    prefix = settings.path_prefix.strip("/")
    return f"/{quote(prefix, safe='/%')}" if prefix else ""


def _headers(settings: ConnectionSettings, content_type: str) -> dict[str, str]:
    headers = {"Host": settings.address, "User-Agent": "HeadgateShell", "Connection": "close"}
    if content_type:
        headers["Content-Type"] = content_type
    if settings.token:
        headers["Authorization"] = f"Bearer {settings.token}"
    elif settings.username:
        credentials = f"{settings.username}:{settings.password}".encode("utf-8", "surrogateescape")
        headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode("ascii")
    elif (session := settings.current_session) is not None and (cookie := session.cookie()):
        headers["Cookie"] = cookie
    return headers


def _connection_failed(
    settings: ConnectionSettings, error: OSError, proxy: "Proxy | None"
) -> ConnectionFailed:
    reason = getattr(error, "reason", None)  # only ssl.SSLError has `reason`
    if reason is not None:
        is_plain_http = reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
        message = (
            "http: server gave HTTP response to HTTPS client" if is_plain_http else str(reason)
        )
        if verdict := getattr(error, "verify_message", ""):  # of SSLCertVerificationError
            message = f"{verdict.rstrip('.')}: SSL_CERT_FILE may name the file of an authority"
        return ConnectionFailed(settings.display_name, message)
    address = (
        f"unix {settings.socket}" if settings.socket else f"tcp {settings.host}:{settings.port}"
    )
    if proxy is not None:
        address = f"proxy {proxy.host}:{proxy.port}"
    return ConnectionFailed(
        settings.display_name, (error.strerror or str(error)).lower(), f"dial {address}: connect"
    )


def _is_result(result: object) -> bool:
    """Returns whether *result* is a JSON object whose series have columns and lists as rows."""
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


def _parse_documents(content: bytes) -> Response | None:
    """Joins the JSON documents of *content*, one for each chunk, into one response.

    Returns None if any document is invalid. Ignores the documents after one with an error.
    """
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
        document_results = document.get("results") or [] if isinstance(document, dict) else None
        if not isinstance(document_results, list) or not all(map(_is_result, document_results)):
            return None
        results.extend(document_results)
        if document.get("error"):
            return Response(results, str(document["error"]))
        while position < len(text) and text[position] in JSON_SPACE:
            position += 1
    return Response(results)
