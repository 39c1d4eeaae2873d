"""One request on its way: what it carries, and what is noted of it for log and metrics."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from headgate_engine import Principal
from headgate_server.http.errors import BadRequest
from headgate_server.http.header_fields import Headers
from headgate_server.http.trusted_proxies import UNIX, address_with_peer, client_address
from headgate_server.http.urlencoded import Pairs, check_pair_count, parse_urlencoded
from headgate_server.telemetry.access_log import RequestLog

_DISCONNECT_CHECK_DELAY_SECONDS = 0.25
_DISCONNECTED_REASON = "the client has left"


class Request:
    """A request, with its URL's parameters as InfluxDB reads them."""

    def __init__(self, scope: Scope, receive: Receive, proxies: tuple[str, ...] = ()) -> None:
        """The networks *proxies* may name the client's address."""
        self.scope, self.receive = scope, receive
        self._proxies = proxies
        self.method: str = scope["method"]
        self.query: bytes = scope["query_string"]
        self.headers = Headers(scope["headers"])
        client = scope.get("client")
        # The other end's address. IPv4 on a socket for both: a client has one name only.
        self.connection: str = client[0].removeprefix("::ffff:") if client is not None else UNIX
        self.log = RequestLog()
        self.route = "other"  # for log and metrics
        self.cross_site = False  # sent by a browser for a page of another site
        self.cached_principal: Principal | None = None  # who it is, if that took no waiting
        self._body_received = False  # all of the body
        self._url_params: Pairs | None = None
        self._address = "" if proxies else self.connection
        self._end_callbacks: list[Callable[[], None]] = []

    def copy(self) -> "Request":
        """The same request anew, to be judged once more."""
        return Request(self.scope, self.receive, self._proxies)

    def on_end(self, callback: Callable[[], None]) -> None:
        """*callback* is called when the request has had its answer, or broke off."""
        self._end_callbacks.append(callback)

    @contextmanager
    def cancel_on_disconnect(self) -> Iterator[None]:
        """If the client leaves while it lasts, which takes longer than most, ClientDisconnect ends
        it. Nothing of the body may be still to come.

        As in InfluxDB, who has only closed his half of the connection has left, too.
        """
        task = asyncio.current_task()
        assert task is not None
        watch: list[asyncio.Task[None]] = []

        async def watching() -> None:
            while (await self.receive())["type"] != "http.disconnect":
                pass
            task.cancel(_DISCONNECTED_REASON)

        state = self.scope.setdefault("state", {})

        def leave() -> None:
            task.cancel(_DISCONNECTED_REASON)

        def begin() -> None:
            if state.get("half_closed"):
                leave()
            state["on_half_close"] = leave
            watch.append(asyncio.ensure_future(watching()))

        timer = asyncio.get_running_loop().call_later(_DISCONNECT_CHECK_DELAY_SECONDS, begin)
        try:
            yield
        except asyncio.CancelledError as error:
            if error.args != (_DISCONNECTED_REASON,):
                raise
            task.uncancel()
            raise ClientDisconnect from None
        finally:
            timer.cancel()
            state.pop("on_half_close", None)
            for one in watch:
                one.cancel()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body's parts as they come, once. Raises ClientDisconnect."""
        while not self._body_received:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._body_received = not message.get("more_body", False)
            if part := message.get("body", b""):
                yield part

    def end(self) -> None:
        while self._end_callbacks:
            self._end_callbacks.pop()()

    @property
    def raw_path(self) -> bytes:
        """As it was sent, undecoded."""
        path: bytes = self.scope.get("raw_path") or self.scope["path"].encode()
        return path

    @property
    def url_params(self) -> Pairs:
        """The URL's parameters. Raises BadRequest for very many."""
        if self._url_params is None:
            check_pair_count(self.query)
            self._url_params = parse_urlencoded(self.query)
        return self._url_params

    @url_params.setter
    def url_params(self, known: Pairs) -> None:
        self._url_params = known

    @property
    def accept(self) -> str:
        """Which formats the answer is wanted in."""
        return ",".join(self.headers.getlist("accept"))

    def check_parameters(self) -> None:
        """Raises BadRequest for a URL with very many parameters."""
        check_pair_count(self.query)

    def check_authorization(self) -> None:
        """Raises BadRequest for more than one header `Authorization`: who else reads this request
        may have taken another one.
        """
        if self.headers.is_repeated("authorization"):
            raise BadRequest("more than one Authorization header")

    @property
    def address(self) -> str:
        """The client's: an IP address, or `unix` for a unix socket. It is the connection's, unless
        that is a trusted proxy's.
        """
        if not self._address:
            forwarded = self.headers.getlist("x-forwarded-for")
            real = self.headers.get("x-real-ip", "")
            self._address = client_address(self._proxies, self.connection, forwarded, real)
        return self._address

    @property
    def audit_address(self) -> str:
        """The client's address for the audit, with the connection's where that differs."""
        return (
            address_with_peer(self.address, self.connection) if self._proxies else self.connection
        )
