"""Sends requests to one upstream store: round-robin over its addresses, with failover.

Logs faults of the addresses, and the end of each fault.
"""

import base64
import time
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from headgate_server.config.gateway import UpstreamSettings
from headgate_server.telemetry.logging import log_error, log_info
from headgate_server.telemetry.tracing import Tracing
from headgate_server.upstream.connection import Body, Headers
from headgate_server.upstream.connection_pool import (
    ConnectionPool,
    PoolLimits,
    UpstreamResponse,
    load_tls_context,
)
from headgate_server.upstream.errors import (
    ComponentNotConfigured,
    PoolExhausted,
    UpstreamAuthError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from headgate_server.upstream.headers import TENANT_HEADER

if TYPE_CHECKING:
    from headgate_server.upstream.websocket import UpstreamWebSocket


class UpstreamMetrics(Protocol):
    """The metrics of requests to upstream stores."""

    def upstream(self, name: str, component: str, outcome: str, seconds: float) -> None:
        """Counts a request to *component* of the upstream store *name*.

        *outcome* is the status of the response, or the kind of the error, such as `unreachable`.
        *seconds* is the time until the response began or the request failed.
        """
        ...

    def upstream_open(self, name: str, change: int) -> None:
        """Adds *change* to the number of open responses of the store *name*."""
        ...


# Headgate has authorized the client already, so such a status rejects Headgate's own login.
_LOGIN_REJECTED_STATUSES = (401, 403, 407)
_OUTCOMES = {
    UpstreamUnreachable: "unreachable",
    UpstreamTimeout: "silent",
    UpstreamProtocolError: "broken",
    PoolExhausted: "full",
}
_REMINDER_SECONDS = 60.0
# Errors after which the store has received nothing of the request.
_NOT_SENT_ERRORS = (UpstreamUnreachable, PoolExhausted)


class Upload:
    """A request body that is streamed upstream in *chunks*.

    `started` is True once reading has begun. `error` is the error that *chunks* raised, or None.
    """

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks
        self.started = False
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.started = True
        try:
            async for piece in self._chunks:
                if piece:
                    yield piece
        except Exception as error:
            self.error = error
            raise


class Upstream:
    """Sends requests to the addresses of a store, round-robin.

    For `fail-timeout` seconds after a failed connection to an address, requests try that address
    last.

    Create it in the event loop that uses it. Raises ValueError for an invalid setting. The error's
    text is one line, which names the option.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        metrics: UpstreamMetrics,
        tracing: Tracing,
        *,
        authorization_scheme: str = "Bearer",
        quiet: bool = False,
    ) -> None:
        """Creates an upstream without connections.

        *authorization_scheme* is the scheme of the header `Authorization` for the option `token`.
        With *quiet*, faults are not logged.
        """
        self._quiet = quiet
        self.settings = settings
        self.name = settings.name
        self._metrics, self._tracing = metrics, tracing
        limits = PoolLimits(
            settings.connect_timeout,
            settings.read_timeout,
            settings.max_connections,
            load_tls_context(settings.tls_ca),
        )
        self._client = ConnectionPool(limits, partial(metrics.upstream_open, settings.name))
        self._next_index: dict[str, int] = {}
        self._unreachable_until: dict[str, float] = {}
        self._faults: dict[str, tuple[str, float]] = {}
        self._authorization = _authorization_value(settings, authorization_scheme)

    @property
    def busy(self) -> bool:
        """Whether any request is in flight or any response is still open."""
        return self._client.busy

    def reachable(self) -> dict[str, bool]:
        """Returns, by address, whether the last request to that address made a connection.

        Returns an empty dictionary, which is false, for a store without addresses.
        """
        every = dict.fromkeys(
            [*self.settings.urls, *(u for urls in self.settings.components.values() for u in urls)]
        )
        return {url: url not in self._unreachable_until for url in every}

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: Body = None,
        *,
        component: str = "",
        idempotent: bool = False,
    ) -> UpstreamResponse:
        """Sends a request to *component* and returns the response once its head has arrived.

        *target* is the path and query. *headers* have none of `Tracing.headers`. If an address
        cannot be reached or its pool is exhausted, the request is sent to the next address. An
        *idempotent* request is sent to the next address also after a broken connection. An upload
        that has begun is never sent again.

        Raises ComponentNotConfigured, and the error of an upload. Raises also UpstreamUnreachable,
        UpstreamTimeout, UpstreamProtocolError, PoolExhausted, UpstreamAuthError.
        """
        with self._tracing.upstream(self.name, component) as trace:
            if trace:
                headers = [*headers, *trace]
            if self._authorization:
                headers = [*headers, ("Authorization", self._authorization)]
            return await self._send(method, target, headers, body, component, idempotent)

    async def _send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: Body,
        component: str,
        idempotent: bool,
    ) -> UpstreamResponse:
        addresses = self._ordered_addresses(component)
        for left, address in enumerate(addresses, 1 - len(addresses)):
            started_at = time.perf_counter()
            try:
                reply = await self._client.send(
                    method, address, target, headers, body, idempotent=idempotent
                )
            except UpstreamError as error:
                if isinstance(body, Upload) and body.error is not None:
                    raise body.error from None
                self.record_failure(address, error)
                self._record(component, _OUTCOMES[type(error)], started_at)
                if isinstance(error, UpstreamUnreachable):
                    self._unreachable_until[address] = time.monotonic() + self.settings.fail_timeout
                unsent = not isinstance(body, Upload) or not body.started
                retryable = isinstance(error, _NOT_SENT_ERRORS) or (
                    idempotent and isinstance(error, UpstreamProtocolError)
                )
                if left == 0 or not (unsent and retryable):
                    raise
            else:
                if self._unreachable_until:
                    self._unreachable_until.pop(address, None)
                self._record(component, str(reply.status), started_at)
                if reply.status in _LOGIN_REJECTED_STATUSES:
                    reply.close()
                    refused = self._login_rejected(reply.status)
                    self.record_failure(address, refused)
                    raise refused
                if self._faults:
                    self._record_recovery(address)
                return reply
        raise ComponentNotConfigured(component)

    async def websocket(
        self, target: str, headers: Headers, protocols: Sequence[str], component: str
    ) -> "UpstreamWebSocket":
        """Opens a WebSocket to *target* at the first reachable address of *component*.

        *target* is the path and query. *component* is the part of the store that answers, such as
        `querier`. *protocols* are the subprotocols to offer. Raises UpstreamError, and
        ComponentNotConfigured if *component* has no address.
        """
        # Imported here: most servers proxy no WebSocket.
        from headgate_server.upstream.websocket import open_websocket

        request_headers = (
            [*headers, ("Authorization", self._authorization)] if self._authorization else headers
        )
        addresses = self._ordered_addresses(component)
        for left, address in enumerate(addresses, 1 - len(addresses)):
            started_at = time.perf_counter()
            try:
                socket = await open_websocket(
                    address + target,
                    request_headers,
                    protocols,
                    self._client.limits,
                    self._client.change_open,
                )
            except UpstreamError as error:
                self.record_failure(address, error)
                self._record(component, _OUTCOMES.get(type(error), "refused"), started_at)
                if left == 0 or not isinstance(error, UpstreamUnreachable):
                    raise
                self._unreachable_until[address] = time.monotonic() + self.settings.fail_timeout
            else:
                self._record(component, "101", started_at)
                return socket
        raise ComponentNotConfigured(component)

    async def probe(
        self, address: str, method: str, target: str, body: bytes | None, tenant: str
    ) -> UpstreamResponse:
        """Sends a health check to *address* and returns the response. Raises UpstreamError.

        *body* is a form, or None. *tenant* is the value of X-Scope-OrgID, or "".
        """
        headers = [("User-Agent", "headgate")]
        if body is not None:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        if tenant:
            headers.append((TENANT_HEADER, tenant))
        if self._authorization:
            headers.append(("Authorization", self._authorization))
        try:
            reply = await self._client.send(method, address, target, headers, body, idempotent=True)
            if reply.status in _LOGIN_REJECTED_STATUSES:
                reply.close()
                raise self._login_rejected(reply.status)
        except UpstreamError as error:
            if isinstance(error, UpstreamUnreachable):
                self._unreachable_until[address] = time.monotonic() + self.settings.fail_timeout
            self.record_failure(address, error)
            raise
        self._unreachable_until.pop(address, None)
        self._record_recovery(address)
        return reply

    def _login_rejected(self, status: int) -> UpstreamAuthError:
        """Returns the error for *status*, by which the store rejects Headgate's own login."""
        remedy = (
            ""
            if self._authorization
            else ": set username and password-file in [[gateway.upstream]]"
        )
        return UpstreamAuthError(f"status {status}{remedy}")

    def record_failure(self, address: str, error: UpstreamError) -> None:
        """Logs the *error* of *address*. Logs an equal error again only after 60 seconds."""
        error.address = address
        text, now = error.log_message, time.monotonic()
        known, since = self._faults.get(address, ("", 0.0))
        if text != known or now - since > _REMINDER_SECONDS:
            self._faults[address] = text, now
            if not self._quiet:
                log_error(f"upstream {self.name!r}: {text}")

    def _record_recovery(self, address: str) -> None:
        if self._faults.pop(address, None) is not None and not self._quiet:
            log_info(f"upstream {self.name!r}: {address} answers again")

    def _record(self, component: str, outcome: str, started_at: float) -> None:
        self._metrics.upstream(self.name, component, outcome, time.perf_counter() - started_at)

    def _ordered_addresses(self, component: str) -> Sequence[str]:
        """Returns the addresses of *component* in the order in which requests try them.

        Unreachable addresses come last. Raises ComponentNotConfigured.
        """
        addresses = self.settings.addresses(component)
        if not addresses:
            raise ComponentNotConfigured(component)
        if len(addresses) == 1:
            return addresses
        first = self._next_index.get(component, 0) % len(addresses)
        self._next_index[component] = first + 1
        rotated = [*addresses[first:], *addresses[:first]]
        if not self._unreachable_until:
            return rotated
        now = time.monotonic()
        return sorted(rotated, key=lambda address: self._unreachable_until.get(address, 0.0) > now)

    def close(self) -> None:
        """Closes all connections immediately. Requests in flight are aborted."""
        self._client.close()


def _authorization_value(settings: UpstreamSettings, authorization_scheme: str) -> str:
    """Returns the value of the header `Authorization`: Headgate's own login at the store.

    Returns "" if no login is configured.
    """
    if settings.token:
        return f"{authorization_scheme} {settings.token}"
    if not settings.username:
        return ""
    pair = f"{settings.username}:{settings.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()
