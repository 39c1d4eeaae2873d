"""A request: its headers, parameters and body, and values for the log and the metrics."""

import re
from collections.abc import AsyncGenerator, Callable

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from headgate_server.http.disconnect_watch import DisconnectWatch
from headgate_server.http.errors import BadRequest
from headgate_server.http.header_fields import Headers
from headgate_server.http.trusted_proxies import UNIX, TrustedProxies, address_with_peer
from headgate_server.http.urlencoded import Pairs, check_pair_count, parse_urlencoded
from headgate_server.telemetry.access_log import RequestLog

# The key of the ASGI scope with the client's address in the connection's PROXY header. The value is
# "" if the header names no address, and None for a connection without such a header.
RELAYED_CLIENT = "relayed_client"
# The name of a parameter with a %-escape.
_ENCODED_NAME = re.compile(rb"(?:^|&)[^=&]*%")


class Request:
    """An HTTP request. Its parameters are parsed by the rules of InfluxDB."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        proxies: TrustedProxies | None = None,
        body: bytes | None = None,
        headers: Headers | None = None,
    ) -> None:
        """*proxies* are the trusted proxies, which report the client's address.

        *body* is the whole body if the server has received it already. *headers* is the `Headers`
        object for the fields in *scope*, if the server has created it already.
        """
        self.scope, self.receive, self.body = scope, receive, body
        self._proxies = proxies
        self.method: str = scope["method"]
        self.query: bytes = scope["query_string"]
        self.headers = headers if headers is not None else Headers(scope["headers"])
        # The path as it was sent, undecoded.
        self.raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        client = scope.get("client")
        # The peer's address. A socket for IPv6 and IPv4 shows IPv4 as ::ffff:a.b.c.d; without this
        # prefix a client has the same address on every socket.
        self.connection: str = client[0].removeprefix("::ffff:") if client is not None else UNIX
        self.log = RequestLog()
        self.route = "other"  # for log and metrics
        self.sets_cookies = False  # whether its response can set a session's cookie
        self.adds_common_headers = False  # whether its response has InfluxDB's own header fields
        self.cross_site = False  # sent by a browser for a page of another site
        self.accepts_cookie = False  # whether a session's cookie counts on its path
        self.accepts_guest = False  # whether a request without a login is accepted on its path
        self.accepts_session_alone = False  # whether no other login counts on its path
        self.extra_headers: list[tuple[bytes, bytes]] = []  # of the response
        self._body_received = False  # all of the body was returned by `stream`
        self._url_params: Pairs | None = None
        self._address = "" if proxies is not None else self.connection
        self._end_callbacks: list[Callable[[], None]] = []

    def copy(self) -> "Request":
        """Returns a new object for the same request, so that it can be authorized again."""
        copy = Request(self.scope, self.receive, self._proxies, self.body, self.headers)
        copy.accepts_cookie, copy.accepts_guest = self.accepts_cookie, self.accepts_guest
        return copy

    def set_cookie(self, field: str) -> None:
        """Adds the field `Set-Cookie` with the value *field* to the response."""
        self.extra_headers += [
            (b"set-cookie", field.encode("latin-1")),
            (b"cache-control", b"no-store"),
        ]

    @property
    def is_forwarded_https(self) -> bool:
        """Whether the request came by TLS, or a trusted proxy says that it did."""
        if self.scope.get("scheme") == "https":
            return True
        if self._proxies is None or self.lacks_source:
            return False
        return self._proxies.is_https(self.peer, self.headers)

    def on_end(self, callback: Callable[[], None]) -> None:
        """Registers *callback*, to be called when the request has been answered or aborted."""
        self._end_callbacks.append(callback)

    def cancel_on_disconnect(self) -> DisconnectWatch:
        """Returns a context manager that cancels its block when the client disconnects.

        It then raises ClientDisconnect. Read the whole body before you enter it. As in
        InfluxDB, a client that has closed only its half of the connection has disconnected.
        """
        return DisconnectWatch(self)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yields the parts of the body as they arrive. A second call yields no part.

        Raises ClientDisconnect if the client disconnects before the end of the body.
        """
        if self.body is not None and not self._body_received:
            self._body_received = True
            if self.body:
                yield self.body
        while not self._body_received:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._body_received = not message.get("more_body", False)
            if part := message.get("body", b""):
                yield part

    def end(self) -> None:
        """Calls the callbacks of `on_end`, the last one first."""
        while self._end_callbacks:
            self._end_callbacks.pop()()

    @property
    def url_params(self) -> Pairs:
        """The URL's parameters, by name. Raises BadRequest if there are too many."""
        if self._url_params is None:
            check_pair_count(self.query)
            self._url_params = parse_urlencoded(self.query)
        return self._url_params

    @url_params.setter
    def url_params(self, known: Pairs) -> None:
        self._url_params = known

    def may_have(self, name: bytes) -> bool:
        """Returns whether the URL may have a parameter *name*: only False is certain.

        This check takes less time than `url_params`.
        """
        query = self.query
        return name in query or (b"%" in query and _ENCODED_NAME.search(query) is not None)

    @property
    def accept(self) -> str:
        """The value of the header `Accept`. If there are several, commas join their values."""
        known: str | None = self.headers.memo.get("accept")
        if known is None:
            known = self.headers.memo["accept"] = ",".join(self.headers.getlist("accept"))
        return known

    @property
    def credential_params(self) -> Pairs:
        """The parameters of the URL if credentials may be among them, else an empty dictionary.

        Raises BadRequest if there are too many.
        """
        query = self.query
        if self._url_params is None and not (
            b"u=" in query
            or b"auth_token=" in query
            or (b"%" in query and _ENCODED_NAME.search(query) is not None)
        ):
            check_pair_count(query)
            return {}
        return self.url_params

    def check_parameters(self) -> None:
        """Raises BadRequest for a URL with too many parameters."""
        check_pair_count(self.query)

    def check_authorization(self) -> None:
        """Raises BadRequest for more than one header `Authorization`.

        Headgate uses the first header. A proxy that reads the same request may use another header,
        and therefore take the request for that of another user.
        """
        if self.headers.is_repeated("authorization"):
            raise BadRequest("more than one Authorization header")

    @property
    def is_relayed(self) -> bool:
        """Whether the connection began with a PROXY header: a proxy relays it for a client."""
        return self.scope.get(RELAYED_CLIENT) is not None

    @property
    def lacks_source(self) -> bool:
        """Whether the connection's PROXY header names no address (`LOCAL`, `UNKNOWN`)."""
        return self.scope.get(RELAYED_CLIENT) == ""

    @property
    def peer(self) -> str:
        """The source address in the connection's PROXY header, or else `connection`.

        This address decides whether the request's header fields are those of a trusted proxy.
        """
        return self.scope.get(RELAYED_CLIENT) or self.connection

    @property
    def address(self) -> str:
        """The client's IP address, or `unix` for a unix socket.

        If `peer` is a trusted proxy, it is the address that this proxy reports, else `peer` itself.
        A PROXY header without an address leaves the address of the connection, whatever the header
        fields are.
        """
        if not self._address:
            if self._proxies is None or self.lacks_source:
                self._address = self.connection
            else:
                self._address = self._proxies.client_address(self.peer, self.headers)
        return self._address

    @property
    def audit_address(self) -> str:
        """The client's address for the audit log: `address via proxy` if a proxy reported it."""
        return (
            address_with_peer(self.address, self.connection) if self._proxies else self.connection
        )
