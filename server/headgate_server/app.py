"""The ASGI application: which path goes where, and what every answer carries."""

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

# What the endpoints of these paths answer without a look at a body, as far as they can.
AT_ONCE: dict[tuple[str, bytes], AtOnce] = {
    ("GET", b"/query"): queries_at_once,
    ("POST", b"/query"): queries_at_once,
    ("GET", b"/ping"): pings_at_once,
    ("HEAD", b"/ping"): pings_at_once,
}
# Writes to other stores than InfluxDB's: who is only to wait has to hear 503 there.
_PUSHES = (b"/push", b"/write", b"/ingest", b"/import", b"/Push", b"/logs", b"/metrics")
_CLIENT_LEFT = 499  # what nginx writes: it goes to the log only


class Application:
    """Serves InfluxDB 1.x's HTTP API over the store of *settings*.

    The store is opened when the server says that it starts, in the process that serves.
    """

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self.close_by = math.inf  # by the loop's clock: until then statements may take on
        self.finished = True  # whether they did
        self._settings = settings
        self._proxies = settings.proxies
        self._service: Service | None = None
        self._answers = Answers(settings)

    def reconfigure(self) -> None:
        """Reads again how tokens are taken, and what is behind us.

        Raises ConfigurationError, and leaves it as it was.
        """
        if self._service is None:
            return
        try:
            self._service.reconfigure(configure_again(self._service.settings, os.environ))
        except (ConfigurationError, ValueError) as error:  # a file that was there a moment ago
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
        """Whether there is any use in asking `at_once` about such a request."""
        service = self._service
        if service is None or service.gateway.all or service.traced:
            return False
        return (method, path) in AT_ONCE

    def at_once(self, requests: Sequence[Request], also: Fields) -> list[bytes | ASGIApp | None]:
        """The answers to *requests*, in their order, as HTTP/1.1 writes them, with the fields
        *also*; b"" where there is none, and the connection is to be broken off. Where somebody or
        something has to be waited for, who answers when that is over; or None: the request is still
        to be done from the beginning.
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
        """Answers *call* when it can be."""

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
                raise  # as in _measured
            finally:
                self._note(call, meter.status, meter.size, started)

        return answer

    def _told(self, call: Call, reply: Reply, request: Request, also: Fields) -> bytes:
        """*reply* to *call* as it goes out, counted and logged."""
        assert self._service is not None
        try:
            self._service.count_known(call)
            self._note(call, reply.status_code, len(reply.body), request.since)
            return self._answers.written(reply, call, also, keep=request.keep_alive)
        except Exception as error:
            logs.report(error, call.note.id)
            return b""

    def upgrades(self, host: bytes, url: bytes) -> bool:
        """Whether what is sent there may become a WebSocket."""
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
        """Answers, and has it traced."""
        assert self._service is not None
        with self._service.tracing.request(call.headers, _method(call)) as finish:
            status = await self._measured(call, receive, meter)
            if finish is not None:
                finish(call.route, status)

    async def _measured(self, call: Call, receive: Receive, meter: "_Meter") -> int:
        """Answers, and writes down that it did. The status."""
        started = time.perf_counter()
        try:
            response = await self._answer(call)
            await response(call.scope, receive, meter)
        except ClientDisconnect:
            pass  # nobody is there to answer
        except BrokenOff as error:
            call.note.error = log_message(error)
            raise
        except Exception as error:
            logs.report(error, call.note.id)
            raise  # the answer has begun: all that is left is to break the connection off
        finally:
            call.end()
            status: int = call.scope.get("state", {}).get("refused", meter.status)
            self._note(call, status, meter.size, started)
        return status

    def _note(self, call: Call, status: int, size: int, started: float) -> None:
        """Counts the request, and writes it into the log."""
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
        """A store's own HTTP API, behind our login."""
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
        """The answer to a request that was not handed on because of *error*."""
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
        """A WebSocket, from its beginning to its end."""
        call, started = as_request(scope, receive, self._proxies), time.perf_counter()
        assert self._service is not None
        await receive()  # that it wants to begin
        path, status = call.raw_path, 101
        call.note.id = request_id(call)
        try:
            mounted, path = self._service.gateway.find(call, path)
            assert mounted is not None  # it has become one because of him
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
        """The answer where an endpoint raised *error*."""
        row = refusal(error, writing=writing, throttle_status=self._settings.throttle_status)
        if row is None:
            logs.report(error, call.note.id)
            return self._answers.refused(Refusal(500), "internal error", format)
        call.note.error = log_message(error)
        return self._answers.refused(row, client_text(error, row), format)


class _Meter:
    """Sends an answer on, and counts what goes."""

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
    """*request*, on its way."""
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
    """The places of *calls* that the same endpoint answers, in their order."""
    found: dict[AtOnce, list[int]] = {}
    for place, call in enumerate(calls):
        found.setdefault(AT_ONCE[call.method, call.raw_path], []).append(place)
    return found


async def _nothing_comes() -> Message:
    """There is no more of the request."""
    return {"type": "http.request", "body": b"", "more_body": False}


def _format(call: Call) -> Format:
    """The one that the answer is wanted in; JSON on one line where the URL cannot be read."""
    try:
        pretty = call.url_pairs.get("pretty") == "true"
    except BadRequest:
        pretty = False
    return format_for(call.accept, pretty=pretty)


def _method(call: Call) -> str:
    """For labels: one of those that there are."""
    return call.method if call.method in METHODS else "other"


def application(settings: Settings) -> ASGIApp:
    """The application for *settings*."""
    return Application(settings)
