"""One upstream store: round-robin over its addresses, failover, and the log of its faults."""

import base64
import time
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Protocol

from headgate_server.config.gateway import UpstreamSettings
from headgate_server.telemetry.logging import complain, say
from headgate_server.telemetry.tracing import Tracing
from headgate_server.upstream.connection import Body, Headers
from headgate_server.upstream.connection_pool import Client, Incoming, Limits, tls
from headgate_server.upstream.errors import (
    Broken,
    Full,
    NoComponent,
    RefusesUs,
    Silent,
    Unreachable,
    UpstreamError,
)
from headgate_server.upstream.headers import TENANT
from headgate_server.upstream.websocket import Socket, connect


class Watch(Protocol):
    """The metrics of requests to upstream stores."""

    def upstream(self, name: str, component: str, outcome: str, seconds: float) -> None:
        """Counts a request to *component* of the store *name*.

        *outcome* is the status, or the kind of the error.
        """
        ...

    def upstream_open(self, name: str, change: int) -> None:
        """Adds *change* to the number of open responses of the store *name*."""
        ...


# The client has been authorized here, so such a status rejects Headgate's own login.
_NOT_FOR_CLIENTS = (401, 403, 407)
_REASONS = {
    Unreachable: "unreachable",
    Silent: "silent",
    Broken: "broken",
    Full: "full",
}
_REMINDER_SECONDS = 60.0
# Errors after which the store has received nothing of the request.
_UNHEARD = (Unreachable, Full)


class Upload:
    """A request body that is streamed upstream in *parts*.

    *begun* is True once reading has begun; *failure* is the error that the parts raised.
    """

    def __init__(self, parts: AsyncIterable[bytes]) -> None:
        self._parts = parts
        self.begun = False
        self.failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun = True
        try:
            async for piece in self._parts:
                if piece:
                    yield piece
        except Exception as error:
            self.failure = error
            raise


class Upstream:
    """Sends requests to its addresses round-robin; an unreachable one is last for `fail-timeout`.

    Create it in the event loop that uses it. Raises ValueError for an invalid setting: one line
    that names the option.
    """

    def __init__(
        self, settings: UpstreamSettings, watch: Watch, tracing: Tracing, *, quiet: bool = False
    ) -> None:
        """*quiet*: faults are not logged."""
        self._quiet = quiet
        self.settings = settings
        self.name = settings.name
        self._watch, self._tracing = watch, tracing
        limits = Limits(
            settings.connect_timeout,
            settings.read_timeout,
            settings.max_connections,
            tls(settings.tls_ca),
        )
        self._client = Client(limits, lambda change: watch.upstream_open(settings.name, change))
        self._turn: dict[str, int] = {}
        self._down: dict[str, float] = {}
        self._faults: dict[str, tuple[str, float]] = {}
        self._login = _login(settings)

    @property
    def busy(self) -> bool:
        """Whether any request is in flight or any response is still open."""
        return self._client.busy

    def up(self) -> dict[str, bool]:
        """Returns by address whether it could be reached by its last request."""
        every = dict.fromkeys(
            [*self.settings.urls, *(u for urls in self.settings.components.values() for u in urls)]
        )
        return {url: url not in self._down for url in every}

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: Body = None,
        *,
        component: str = "",
        again: bool = False,
    ) -> Incoming:
        """Sends a request to *component* and returns the response once its head has arrived.

        *target* is the path and query. If an address cannot be reached or its pool is exhausted,
        the next one is tried. With *again* (for an idempotent request), it is tried also after a
        broken connection. An upload that has begun is never sent again. Raises Unreachable, Silent,
        Broken, Full, RefusesUs, NoComponent, and the error of an upload.
        """
        with self._tracing.upstream(self.name, component) as context:
            sent = [*_without(headers, context), *context.items()]
            if self._login:
                sent.append(("Authorization", self._login))
            return await self._sent(method, target, sent, body, component, again)

    async def _sent(
        self,
        method: str,
        target: str,
        sent: Headers,
        body: Body,
        component: str,
        again: bool,
    ) -> Incoming:
        addresses = self._in_turn(component)
        for left, address in enumerate(addresses, 1 - len(addresses)):
            began = time.perf_counter()
            try:
                reply = await self._client.send(method, address, target, sent, body, again=again)
            except UpstreamError as error:
                if isinstance(body, Upload) and body.failure is not None:
                    raise body.failure from None
                self.failed(address, error)
                self._tell(component, _REASONS[type(error)], began)
                if isinstance(error, Unreachable):
                    self._down[address] = time.monotonic() + self.settings.fail_timeout
                fresh = not isinstance(body, Upload) or not body.begun
                harmless = isinstance(error, _UNHEARD) or (again and isinstance(error, Broken))
                if left == 0 or not (fresh and harmless):
                    raise
            else:
                self._down.pop(address, None)
                self._tell(component, str(reply.status), began)
                if reply.status in _NOT_FOR_CLIENTS:
                    reply.close()
                    refused = RefusesUs(f"status {reply.status}")
                    self.failed(address, refused)
                    raise refused
                if self._faults:
                    self._well(address)
                return reply
        raise NoComponent(component)

    async def websocket(
        self, target: str, headers: Headers, protocols: Sequence[str], component: str
    ) -> Socket:
        """Opens a WebSocket to *target* at the first address that can be reached.

        Raises UpstreamError, NoComponent.
        """
        sent = [*headers, ("Authorization", self._login)] if self._login else headers
        addresses = self._in_turn(component)
        for left, address in enumerate(addresses, 1 - len(addresses)):
            began = time.perf_counter()
            try:
                socket = await connect(
                    address + target, sent, protocols, self._client.limits, self._client.opens
                )
            except UpstreamError as error:
                self.failed(address, error)
                self._tell(component, _REASONS.get(type(error), "refused"), began)
                if left == 0 or not isinstance(error, Unreachable):
                    raise
                self._down[address] = time.monotonic() + self.settings.fail_timeout
            else:
                self._tell(component, "101", began)
                return socket
        raise NoComponent(component)

    async def probe(
        self, address: str, method: str, target: str, body: bytes | None, tenant: str
    ) -> Incoming:
        """Sends a health check to *address* and returns the response. Raises UpstreamError."""
        headers = [("User-Agent", "headgate")]
        if body is not None:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        if tenant:
            headers.append((TENANT, tenant))
        if self._login:
            headers.append(("Authorization", self._login))
        try:
            reply = await self._client.send(method, address, target, headers, body, again=True)
            if reply.status in _NOT_FOR_CLIENTS:
                reply.close()
                raise RefusesUs(f"status {reply.status}")
        except UpstreamError as error:
            if isinstance(error, Unreachable):
                self._down[address] = time.monotonic() + self.settings.fail_timeout
            self.failed(address, error)
            raise
        self._down.pop(address, None)
        self._well(address)
        return reply

    def failed(self, address: str, error: UpstreamError) -> None:
        """Logs the *error* of *address*; the same error again only after more than 60 seconds."""
        error.address = address
        text, now = error.log_message, time.monotonic()
        known, since = self._faults.get(address, ("", 0.0))
        if text != known or now - since > _REMINDER_SECONDS:
            self._faults[address] = text, now
            if not self._quiet:
                complain(f"upstream {self.name!r}: {text}")

    def _well(self, address: str) -> None:
        if self._faults.pop(address, None) is not None and not self._quiet:
            say(f"upstream {self.name!r}: {address} answers again")

    def _tell(self, component: str, outcome: str, began: float) -> None:
        self._watch.upstream(self.name, component, outcome, time.perf_counter() - began)

    def _in_turn(self, component: str) -> list[str]:
        """Returns the addresses in the order in which they are tried: unreachable ones last.

        Raises NoComponent.
        """
        addresses = self.settings.addresses(component)
        if not addresses:
            raise NoComponent(component)
        first = self._turn.get(component, 0) % len(addresses)
        self._turn[component] = first + 1
        turned = [*addresses[first:], *addresses[:first]]
        if not self._down:
            return turned
        now = time.monotonic()
        return sorted(turned, key=lambda address: self._down.get(address, 0.0) > now)

    def close(self) -> None:
        """Closes all connections at once."""
        self._client.close()


def _without(headers: Headers, names: Mapping[str, str]) -> Headers:
    """Returns *headers* without those in *names*, which are set anew."""
    return [pair for pair in headers if pair[0].lower() not in names] if names else headers


def _login(settings: UpstreamSettings) -> str:
    """Returns the value of `Authorization` for the upstream, or ""."""
    if settings.token:
        # InfluxDB 2 uses its own scheme.
        return f"{'Token' if settings.protocol == 'influxdb2' else 'Bearer'} {settings.token}"
    if not settings.username:
        return ""
    pair = f"{settings.username}:{settings.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()
