"""The ASGI application: routes requests to endpoints and upstream stores, and logs each request."""

import asyncio
import math
import os
import time
from collections.abc import Mapping, Sequence

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from headgate_engine import NotAuthorized, SessionRejected, StoreError, StoreUnavailable
from headgate_server.api.accounts.routes import ACCOUNT_ROUTES
from headgate_server.api.delivery import (
    AsgiDelivery,
    BatchDelivery,
    Continuation,
    Delivery,
    to_request,
)
from headgate_server.api.error_statuses import ErrorStatus, client_message, error_status_for
from headgate_server.api.forward_auth import forward_auth
from headgate_server.api.original_request import FORWARD_AUTH_PREFIX
from headgate_server.api.prometheus_errors import error_response
from headgate_server.api.proxy import proxy
from headgate_server.api.response_builder import ResponseBuilder, request_id
from headgate_server.api.router import (
    HTTP_METHODS,
    PREFLIGHT_PATHS,
    ROUTES,
    WRITE_HANDLERS,
    Handler,
)
from headgate_server.api.tail import Tail, handshake_request
from headgate_server.app_context import AppContext
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.console.mount import CONSOLE_ROUTES
from headgate_server.formats import ResultEncoder, encoder_for
from headgate_server.gateway.authorization import RouteNotFound
from headgate_server.gateway.local_paths import accepts_cookie, accepts_guest, local_pattern
from headgate_server.gateway.mount import Mount
from headgate_server.http.cross_site import host_name
from headgate_server.http.eager_batch import Suspended, run_batch
from headgate_server.http.errors import BadRequest
from headgate_server.http.parsed_request import ParsedRequest
from headgate_server.http.request import Request
from headgate_server.http.response import ASGIResponse, RawHeaders, Response
from headgate_server.http.response_recorder import CLIENT_DISCONNECTED_STATUS
from headgate_server.http.trusted_proxies import trusted_proxies
from headgate_server.prepared_store import PreparedStore
from headgate_server.server_status import ServerStatus
from headgate_server.telemetry import logging as logs
from headgate_server.telemetry.access_log import is_access_logged, log_access
from headgate_server.telemetry.log_message import log_message
from headgate_server.telemetry.metrics import Metrics
from headgate_server.telemetry.tracing import incoming_trace_id
from headgate_server.upstream.errors import ResponseAborted
from headgate_server.validation.configuration import reload_settings

_BELOW_FORWARD_AUTH = FORWARD_AUTH_PREFIX + b"/"
_ALL_ROUTES = ROUTES | CONSOLE_ROUTES
_NO_STATE: Mapping[str, int] = {}
# Ends of the write paths of stores other than InfluxDB. A throttled write is answered 503 there,
# because Telegraf drops a batch on any 4xx.
_WRITE_SUFFIXES = (b"/push", b"/write", b"/ingest", b"/import", b"/Push", b"/logs", b"/metrics")


class Application:
    """ASGI application that serves InfluxDB 1.x's HTTP API and the gateway, by *settings*.

    Without *prepared*, the user store is opened at the ASGI lifespan event `startup`: each worker
    process has its own connection to SQLite.
    """

    def __init__(self, settings: Settings, prepared: PreparedStore | None = None) -> None:
        self.metrics, self.status = Metrics(), ServerStatus(reload=self.reconfigure)
        self.close_deadline = math.inf  # loop time; at shutdown, statements may run until then
        self.finished = True  # False if statements were still running at `close_deadline`
        self._settings, self._prepared = settings, prepared
        self._proxies = trusted_proxies(settings)
        self._hosts = frozenset(map(host_name, settings.allowed_hosts))
        self._context: AppContext | None = None
        self._responses = ResponseBuilder(settings)

    def reconfigure(self) -> None:
        """Reloads the settings of tokens and of the gateway. Does nothing before the startup.

        Raises ConfigurationError if the new settings are invalid. Then the previous settings stay
        in effect.
        """
        if self._context is None:
            return
        try:
            self._context.store.reload()
            self._context.reconfigure(reload_settings(self._context.settings, os.environ))
        # ValueError: a file that was valid during `reload_settings` has changed since.
        except (ConfigurationError, ValueError, StoreError) as error:
            self.status.reload_error = str(error)
            self.metrics.configuration.refused()
            raise ConfigurationError(str(error)) from None
        self.status.reload_error = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, a WebSocket or the lifespan events (ASGI)."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            request = Request(scope, receive, self._proxies)
            await self._handle(request, AsgiDelivery(request, self._responses, send))
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)

    def handle_batch(
        self, requests: Sequence[ParsedRequest], default_fields: RawHeaders
    ) -> list[bytes | Continuation]:
        """Returns an answer for each of *requests*, in the same order. Runs them as one batch.

        An answer is one of these:

        - bytes: the encoded HTTP/1.1 response, with the server's header fields *default_fields*;
        - b"": no response, the caller must abort the connection;
        - a Continuation: the request has to wait, and the caller must run it as an ASGI
          application.
        """
        assert self._context is not None
        deliveries = [
            BatchDelivery(
                to_request(each, self._proxies), self._responses, default_fields, each.keep_alive
            )
            for each in requests
        ]
        with self._context.snapshot():
            results = run_batch(
                [
                    self._handle(delivery.request, delivery, each.completed_at)
                    for delivery, each in zip(deliveries, requests, strict=True)
                ]
            )
        return [
            Continuation(delivery, result) if isinstance(result, Suspended) else delivery.encoded
            for delivery, result in zip(deliveries, results, strict=True)
        ]

    def accepts_websocket(self, host: bytes, url: bytes) -> bool:
        """Returns whether a request for *url* on *host* may be upgraded to a WebSocket."""
        path = url.partition(b"?")[0]
        return self._context is not None and self._context.gateway.accepts_websocket(host, path)

    async def startup(self) -> bool:
        """Opens the user store, and creates the gateway. Returns False after an error.

        The error is logged.
        """
        try:
            self._context = AppContext(self._settings, self.metrics, self.status, self._prepared)
        # ValueError: a file of a setting has changed.
        except (StoreError, StoreUnavailable, ValueError) as error:
            logs.log_error(str(error))
            return False
        return True

    async def shutdown(self) -> None:
        """Closes upstream connections, waits for running statements, and closes the user store.

        If statements still run at `close_deadline`, the user store stays open, and `finished` is
        False.
        """
        assert self._context is not None
        await self._context.close_connections()
        loop = asyncio.get_running_loop()
        seconds_left = max(0.0, self.close_deadline - loop.time())
        self.finished = await loop.run_in_executor(None, self._context.close, seconds_left)

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        if not await self.startup():
            await send({"type": "lifespan.startup.failed"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _handle(
        self, request: Request, delivery: Delivery, started: float | None = None
    ) -> None:
        """Answers *request*: sends the response by *delivery*, counts the request and logs it.

        Runs within a trace span, if tracing is enabled. *started* is when the request was
        received, by `time.perf_counter` (None: now).
        """
        assert self._context is not None
        started = time.perf_counter() if started is None else started
        # Without "other", a client could create any number of labels.
        method = request.method if request.method in HTTP_METHODS else "other"
        with self._context.tracing.request(request.headers, method) as span:
            try:
                await delivery.send(await self._dispatch(request))
            except ClientDisconnect:
                pass  # the client has disconnected: no response can be sent
            except ResponseAborted as error:
                request.log.error = log_message(error)
                raise
            except Exception as error:
                logs.log_internal_error(error, request.log.id)
                raise  # the response has started: the connection can only be aborted
            finally:
                request.end()
                status: int = request.scope.get("state", _NO_STATE).get("refused", delivery.status)
                if span is not None:
                    request.log.trace_id = span.trace_id
                    span.finish(method, request.route, status)
                self._log_request(request, method, status, delivery.size, started)

    def _log_request(
        self, request: Request, method: str, status: int, size: int, started: float
    ) -> None:
        """Counts the request in the metrics, and writes it to the access log.

        *method* is its label in the metrics.
        """
        seconds = time.perf_counter() - started
        self.metrics.request(request.route, method, status, seconds)
        self.metrics.user_request(request.log.user, request.log.database, status)
        if is_access_logged():
            if not request.log.trace_id:
                request.log.trace_id = incoming_trace_id(request.headers)
            log_access(
                request.address, request.method, request.route, status, size, seconds, request.log
            )

    async def _dispatch(self, request: Request) -> ASGIResponse:
        assert self._context is not None
        path = request.raw_path
        if self._hosts and host_name(request.headers.get("host", "")) not in self._hosts:
            return self._responses.text_response(421, "unknown Host: see allowed-hosts\n")
        try:
            mount, path = self._context.gateway.find(request, path)
        except BadRequest as error:
            return self._responses.text_response(400, f"{error}\n")
        if mount is not None:
            request.on_end(mount.acquire())
        if path.startswith(_BELOW_FORWARD_AUTH) and path == request.raw_path:
            path = request.raw_path = self._provider_path(path)
        if (path + b"/").startswith(_BELOW_FORWARD_AUTH) and (
            self._context.gateway.forward_auth_networks
        ):
            request.route, request.log.id = FORWARD_AUTH_PREFIX.decode(), request_id(request)
            return await forward_auth(request, self._context)
        below_mount = path != request.raw_path
        route = local_pattern(mount, path.decode("latin-1"), below_mount=below_mount)
        if not route and mount is not None and mount.proxied is not None:
            return await self._forward(request, mount, path)
        if not route:
            return self._responses.text_response(404, "404 page not found\n")
        request.route = route
        endpoints, preflight = _ALL_ROUTES[route], route in PREFLIGHT_PATHS
        endpoint = endpoints.get(request.method)
        if endpoint is None and not (preflight and request.method == "OPTIONS"):
            allowed = [*endpoints, *(["OPTIONS"] if preflight else [])]
            allow = {"Allow": ", ".join(allowed)}
            return self._responses.text_response(405, "Method Not Allowed\n", allow)
        request.log.id = request_id(request)
        request.adds_common_headers = request.sets_cookies = True
        request.accepts_cookie = accepts_cookie(route)
        request.accepts_guest = accepts_guest(route)
        if endpoint is None:
            return Response()
        return await self._call_endpoint(endpoint, request, mount)

    def _provider_path(self, path: bytes) -> bytes:
        """Returns *path*, or /login/NAME... for Pyroscope's /auth/NAME/login and its callback."""
        assert self._context is not None
        _, first, name, *rest = (*path.split(b"/"), b"", b"")[:6]
        if first != b"auth" or self._context.providers is None:
            return path
        known = self._context.providers.get(name.decode("latin-1")) is not None
        if known and rest[:2] in ([b"login", b""], [b"callback", b""]):
            return b"/login/" + name + (b"/callback" if rest[0] == b"callback" else b"")
        return path

    async def _forward(self, request: Request, mount: Mount, path: bytes) -> ASGIResponse:
        """Returns the response to *request* from the upstream store's own HTTP API.

        Returns an error response if the user lacks the privilege, or after a failure. *path* is
        the path below the store's mount.
        """
        assert self._context is not None
        request.route, request.log.id = f"gateway {mount.settings.name}", request_id(request)
        request.accepts_guest = True
        request.accepts_cookie = self._context.settings.cookie_on_gateway
        try:
            response = await proxy(request, self._context, mount, path)
        except ClientDisconnect:
            raise
        except Exception as error:
            response = self._gateway_error(request, path, error)
        response.raw_headers.append((b"x-request-id", request.log.id.encode("latin-1")))
        return response

    def _gateway_error(self, request: Request, path: bytes, error: Exception) -> ASGIResponse:
        """Returns the response to a request that was not forwarded because of *error*."""
        realm = self._settings.realm
        if isinstance(error, RouteNotFound):
            headers = {"Allow": ", ".join(sorted(error.methods))} if error.methods else {}
            return error_response(
                str(error), ErrorStatus(405 if headers else 404, headers=headers), realm
            )
        error_status = error_status_for(
            error, writing=request.method == "POST" and path.endswith(_WRITE_SUFFIXES)
        )
        if error_status is None:
            logs.log_internal_error(error, request.log.id)
            return error_response("internal error", ErrorStatus(500), realm)
        request.log.error = log_message(error)
        return error_response(error_status.prefix + str(error), error_status, realm)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one WebSocket connection until it is closed."""
        request, started = handshake_request(scope, receive, self._proxies), time.perf_counter()
        assert self._context is not None
        await receive()  # the ASGI event `websocket.connect`
        path, status = request.raw_path, 101
        request.log.id = request_id(request)
        try:
            mount, path = self._context.gateway.find(request, path)
            if mount is None:
                raise RouteNotFound(set())
            request.route = f"gateway {mount.settings.name}"
            request.on_end(mount.acquire())
            request.accepts_guest = True
            request.accepts_cookie = self._context.settings.cookie_on_gateway
            tail = Tail(request, self._context, mount, path, receive)
            socket = await tail.open(scope.get("subprotocols", ()))
        except ClientDisconnect:
            status = CLIENT_DISCONNECTED_STATUS
        except Exception as error:
            response = self._gateway_error(request, path, error)
            status = response.status_code
            await response({**scope, "type": "websocket"}, receive, send)
        else:
            await tail.run(socket, send)
        finally:
            request.end()
            self._log_request(request, "GET", status, 0, started)

    async def _call_endpoint(
        self, endpoint: Handler, request: Request, mount: Mount | None
    ) -> ASGIResponse:
        assert self._context is not None
        encoder = _encoder_for(request)
        try:
            request.check_parameters()
            return await endpoint(request, self._context, encoder, mount)
        except ClientDisconnect:
            raise
        except Exception as error:
            return self._error_response(request, error, encoder, writing=endpoint in WRITE_HANDLERS)

    def _error_response(
        self, request: Request, error: Exception, encoder: ResultEncoder, *, writing: bool = False
    ) -> Response:
        """Returns the response to *request* after its endpoint raised *error*.

        *encoder* formats the error. If *writing*, the endpoint writes data: a throttled request
        then gets 503.
        """
        error_status = error_status_for(
            error, writing=writing, throttle_status=self._settings.throttle_status
        )
        if error_status is None:
            logs.log_internal_error(error, request.log.id)
            return self._responses.error_response(ErrorStatus(500), "internal error", encoder)
        request.log.error = log_message(error)
        message = client_message(error, error_status)
        by_session = isinstance(error, SessionRejected)
        if by_session and self._context is not None:
            request.set_cookie(self._context.cookies.delete(request))
        if request.route in ACCOUNT_ROUTES:
            if isinstance(error, NotAuthorized) and self._context is not None:
                self._context.audit_writer.record_denied(
                    request.log.user,
                    request.audit_address,
                    f"-- {error.statement}",
                    f"requires {error.required}",
                )
            message, code = message.removeprefix(error_status.prefix), getattr(error, "code", "")
            return self._responses.account_error(error_status, message, code)
        return self._responses.error_response(error_status, message, encoder, by_session=by_session)


def _encoder_for(request: Request) -> ResultEncoder:
    """Returns the encoder for *request*, by its header Accept and its parameter `pretty`."""
    try:
        pretty = request.may_have(b"pretty") and request.url_params.get("pretty") == "true"
    except BadRequest:
        pretty = False
    return encoder_for(request.accept, pretty=pretty)
