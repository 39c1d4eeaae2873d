"""The ASGI application: routes each request, and adds the common headers to each response."""

import asyncio
import math
import os
import time
from collections.abc import Callable, Sequence

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate_engine import StoreError
from headgate_server.api.errors import Refusal, client_text, refusal
from headgate_server.api.forward_auth import forward_auth
from headgate_server.api.health import pings_at_once
from headgate_server.api.original_request import PREFIX
from headgate_server.api.prometheus_errors import refused
from headgate_server.api.proxy import proxy
from headgate_server.api.query_batch import Early, Later, queries_at_once
from headgate_server.api.responses import Answers, request_id
from headgate_server.api.router import METHODS, PREFLIGHT, ROUTES, WRITES, Endpoint
from headgate_server.api.tail import Tail, as_request
from headgate_server.app_context import Service
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.formats import Format, format_for
from headgate_server.gateway.authorization import NoRoute
from headgate_server.gateway.local_paths import answered_here
from headgate_server.gateway.mount import Mounted
from headgate_server.http.errors import BadRequest
from headgate_server.http.parsed_request import Request
from headgate_server.http.request import Call
from headgate_server.http.response import Fields, Reply, Response
from headgate_server.telemetry import logging as logs
from headgate_server.telemetry.log_message import log_message
from headgate_server.telemetry.metrics import Metrics
from headgate_server.upstream.errors import BrokenOff
from headgate_server.validation.configuration import configure_again

AtOnce = Callable[[Sequence[Call], Service, Answers], list[Early]]

# Batch endpoints. They answer requests without a body, as far as that needs no waiting.
AT_ONCE: dict[tuple[str, bytes], AtOnce] = {
    ("GET", b"/query"): queries_at_once,
    ("POST", b"/query"): queries_at_once,
    ("GET", b"/ping"): pings_at_once,
    ("HEAD", b"/ping"): pings_at_once,
}
# Write paths of stores other than InfluxDB. A throttled write is answered 503 there, because
# Telegraf drops a batch on any 4xx.
_PUSHES = (b"/push", b"/write", b"/ingest", b"/import", b"/Push", b"/logs", b"/metrics")
_CLIENT_LEFT = 499  # nginx's status for a disconnected client; for log and metrics only


class Application:
    """ASGI application that serves InfluxDB 1.x's HTTP API over the store of *settings*.

    The ASGI lifespan event `startup` opens the store, in the process that serves.
    """

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self.close_by = math.inf  # loop time; at shutdown, statements may run until then
        self.finished = True  # False if statements were still running at `close_by`
        self._settings = settings
        self._proxies = settings.proxies
        self._service: Service | None = None
        self._answers = Answers(settings)

    def reconfigure(self) -> None:
        """Reloads the settings of tokens and of the gateway. Does nothing before the startup.

        Raises ConfigurationError if they are invalid; the previous settings stay in effect.
        """
        if self._service is None:
            return
        try:
            self._service.reconfigure(configure_again(self._service.settings, os.environ))
        # ValueError: a file that was valid during `configure_again` has changed since.
        except (ConfigurationError, ValueError) as error:
            self._service.fault = str(error)
            self.metrics.reloaded(well=False)
            raise ConfigurationError(str(error)) from None
        self._service.fault = ""
        self.metrics.reloaded(well=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            call = Call(scope, receive, self._proxies)
            await self._serve(call, receive, _Meter(send))
        elif scope["type"] == "websocket":
            await self._tail(scope, receive, send)

    def may_answer(self, method: str, path: bytes) -> bool:
        """Returns whether `at_once` may be able to answer a request for *path*."""
        service = self._service
        if service is None or service.gateway.all or service.traced:
            return False
        return (method, path) in AT_ONCE

    def at_once(self, requests: Sequence[Request], also: Fields) -> list[bytes | ASGIApp | None]:
        """Runs *requests* as a batch. Returns one answer for each, in their order.

        bytes: the encoded HTTP/1.1 response, with the server's header fields *also*. b"": no
        response, the caller must abort the connection. An ASGI application: it sends the response
        when a pending change is durable. None: the request was not processed, and the caller must
        run it the usual way.
        """
        assert self._service is not None
        calls = [_heard(request, self._proxies) for request in requests]
        replies: list[Early] = [None] * len(calls)
        for endpoint, places in _by_endpoint(calls).items():
            together = endpoint([calls[place] for place in places], self._service, self._answers)
            for place, reply in zip(places, together, strict=True):
                replies[place] = reply
        answers: list[bytes | ASGIApp | None] = []
        for request, call, reply in zip(requests, calls, replies, strict=True):
            if isinstance(reply, Exception):
                reply = self._failed(call, reply, _format(call))
            if isinstance(reply, Reply):
                answers.append(self._told(call, reply, request, also))
            else:
                later = self._later(call, reply, request.since) if reply is not None else None
                answers.append(later)
        return answers

    def _later(self, call: Call, later: Later, started: float) -> ASGIApp:
        """Returns an ASGI application that answers *call* when the change of *later* is durable."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            assert self._service is not None
            meter = _Meter(send)
            self._service.count_known(call)
            try:
                try:
                    reply = await later.reply()
                except Exception as error:
                    reply = self._failed(call, error, _format(call))
                reply.raw_headers += self._answers.carried(call)
                await reply(scope, receive, meter)
            except Exception as error:
                logs.report(error, call.note.id)
                raise  # as in `_measured`
            finally:
                self._note(call, meter.status, meter.size, started)

        return answer

    def _told(self, call: Call, reply: Reply, request: Request, also: Fields) -> bytes:
        """Returns *reply* encoded as HTTP/1.1, and counts and logs the request.

        Returns b"" on an error, which is logged.
        """
        assert self._service is not None
        try:
            self._service.count_known(call)
            self._note(call, reply.status_code, len(reply.body), request.since)
            return self._answers.written(reply, call, also, keep=request.keep_alive)
        except Exception as error:
            logs.report(error, call.note.id)
            return b""

    def upgrades(self, host: bytes, url: bytes) -> bool:
        """Returns whether a request for *url* on *host* may be upgraded to a WebSocket."""
        path = url.partition(b"?")[0]
        return self._service is not None and self._service.gateway.takes_websocket(host, path)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._service = Service(self._settings, self.metrics)
        except StoreError as error:
            logs.complain(str(error))
            await send({"type": "lifespan.startup.failed"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._service.disconnect()
        loop = asyncio.get_running_loop()
        left = max(0.0, self.close_by - loop.time())
        self.finished = await loop.run_in_executor(None, self._service.close, left)
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, call: Call, receive: Receive, meter: "_Meter") -> None:
        """Answers *call* within a trace span, if tracing is enabled."""
        assert self._service is not None
        with self._service.tracing.request(call.headers, _method(call)) as finish:
            status = await self._measured(call, receive, meter)
            if finish is not None:
                finish(call.route, status)

    async def _measured(self, call: Call, receive: Receive, meter: "_Meter") -> int:
        """Answers *call*, counts and logs it, and returns the status."""
        started = time.perf_counter()
        try:
            response = await self._answer(call)
            await response(call.scope, receive, meter)
        except ClientDisconnect:
            pass  # the client has disconnected: no response can be sent
        except BrokenOff as error:
            call.note.error = log_message(error)
            raise
        except Exception as error:
            logs.report(error, call.note.id)
            raise  # the response has started: the connection can only be aborted
        finally:
            call.end()
            status: int = call.scope.get("state", {}).get("refused", meter.status)
            self._note(call, status, meter.size, started)
        return status

    def _note(self, call: Call, status: int, size: int, started: float) -> None:
        """Counts the request in the metrics, and writes it to the access log."""
        seconds = time.perf_counter() - started
        self.metrics.request(call.route, _method(call), status, seconds)
        logs.access(call.address, call.method, call.route, status, size, seconds, call.note)

    async def _answer(self, call: Call) -> Response:
        assert self._service is not None
        path = call.raw_path
        try:
            mounted, path = self._service.gateway.find(call, path)
        except BadRequest as error:
            return self._answers.plain(400, f"{error}\n")
        if mounted is not None:
            call.at_end(mounted.hold())
        if self._service.gateway.askers and (path + b"/").startswith(PREFIX + b"/"):
            call.route, call.note.id = PREFIX.decode(), request_id(call)
            return await forward_auth(call, self._service)
        below = path != call.raw_path
        route = answered_here(mounted, path.decode("latin-1"), mounted=below)
        if not route and mounted is not None and mounted.table is not None:
            return await self._hand_on(call, mounted, path)
        if not route:
            return self._answers.plain(404, "404 page not found\n")
        call.route = route
        endpoints, preflight = ROUTES[route], route in PREFLIGHT
        endpoint = endpoints.get(call.method)
        if endpoint is None and not (preflight and call.method == "OPTIONS"):
            allowed = [*endpoints, *(["OPTIONS"] if preflight else [])]
            allow = {"Allow": ", ".join(allowed)}
            return self._answers.plain(405, "Method Not Allowed\n", allow)
        call.note.id = request_id(call)
        response = await self._call(endpoint, call, mounted) if endpoint is not None else Reply()
        response.raw_headers += self._answers.carried(call)
        return response

    async def _hand_on(self, call: Call, mounted: Mounted, path: bytes) -> Response:
        """Forwards *call* to the store's own HTTP API, after authentication by Headgate."""
        assert self._service is not None
        call.route, call.note.id = f"gateway {mounted.settings.name}", request_id(call)
        try:
            response = await proxy(call, self._service, mounted, path)
        except ClientDisconnect:
            raise
        except Exception as error:
            response = self._kept_out(call, path, error)
        response.raw_headers.append((b"x-request-id", call.note.id.encode("latin-1")))
        return response

    def _kept_out(self, call: Call, path: bytes, error: Exception) -> Response:
        """Returns the response to a request that was not forwarded because of *error*."""
        realm = self._settings.realm
        if isinstance(error, NoRoute):
            headers = {"Allow": ", ".join(sorted(error.methods))} if error.methods else {}
            return refused(str(error), Refusal(405 if headers else 404, headers=headers), realm)
        row = refusal(error, writing=call.method == "POST" and path.endswith(_PUSHES))
        if row is None:
            logs.report(error, call.note.id)
            return refused("internal error", Refusal(500), realm)
        call.note.error = log_message(error)
        return refused(row.prefix + str(error), row, realm)

    async def _tail(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one WebSocket connection until it is closed."""
        call, started = as_request(scope, receive, self._proxies), time.perf_counter()
        assert self._service is not None
        await receive()  # the ASGI event `websocket.connect`
        path, status = call.raw_path, 101
        call.note.id = request_id(call)
        try:
            mounted, path = self._service.gateway.find(call, path)
            assert mounted is not None  # `upgrades` has found the mount before
            call.route = f"gateway {mounted.settings.name}"
            call.at_end(mounted.hold())
            tail = Tail(call, self._service, mounted, path, receive)
            socket = await tail.open(scope.get("subprotocols", ()))
        except ClientDisconnect:
            status = _CLIENT_LEFT
        except Exception as error:
            response = self._kept_out(call, path, error)
            status = response.status_code
            await response({**scope, "type": "websocket"}, receive, send)
        else:
            await tail.run(socket, send)
        finally:
            call.end()
            self._note(call, status, 0, started)

    async def _call(self, endpoint: Endpoint, call: Call, mounted: Mounted | None) -> Response:
        assert self._service is not None
        format = _format(call)
        try:
            call.check()
            return await endpoint(call, self._service, format, mounted)
        except ClientDisconnect:
            raise
        except Exception as error:
            return self._failed(call, error, format, writing=endpoint in WRITES)

    def _failed(
        self, call: Call, error: Exception, format: Format, *, writing: bool = False
    ) -> Reply:
        """Returns the response for an endpoint that raised *error*."""
        row = refusal(error, writing=writing, throttle_status=self._settings.throttle_status)
        if row is None:
            logs.report(error, call.note.id)
            return self._answers.refused(Refusal(500), "internal error", format)
        call.note.error = log_message(error)
        return self._answers.refused(row, client_text(error, row), format)


class _Meter:
    """ASGI `send` that records the status and the number of body bytes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = _CLIENT_LEFT
        self.size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)


def _heard(request: Request, proxies: tuple[str, ...]) -> Call:
    """Returns the `Call` for *request*, which has no body."""
    path, _, query = request.url.partition(b"?")
    scope = {
        "method": request.method,
        "raw_path": path,
        "query_string": query,
        "headers": request.headers,
        "client": request.client,
    }
    call = Call(scope, _nothing_comes, proxies)
    call.route = path.decode("latin-1")
    call.note.id = request_id(call)
    return call


def _by_endpoint(calls: Sequence[Call]) -> dict[AtOnce, list[int]]:
    """Returns the indexes of *calls* by the endpoint that answers them, in their order."""
    found: dict[AtOnce, list[int]] = {}
    for place, call in enumerate(calls):
        found.setdefault(AT_ONCE[call.method, call.raw_path], []).append(place)
    return found


async def _nothing_comes() -> Message:
    """ASGI `receive` of a request whose empty body is complete."""
    return {"type": "http.request", "body": b"", "more_body": False}


def _format(call: Call) -> Format:
    """Returns the response format that *call* asks for; compact JSON if the URL is invalid."""
    try:
        pretty = call.url_pairs.get("pretty") == "true"
    except BadRequest:
        pretty = False
    return format_for(call.accept, pretty=pretty)


def _method(call: Call) -> str:
    """Returns the method for metric labels; "other" for an unknown one limits their number."""
    return call.method if call.method in METHODS else "other"


def application(settings: Settings) -> ASGIApp:
    """Returns the ASGI application for *settings*."""
    return Application(settings)
