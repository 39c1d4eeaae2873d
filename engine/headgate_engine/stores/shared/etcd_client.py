"""A client of etcd by gRPC: several members, TLS, a certificate or a user with a password.

Only this module knows grpc. Channels belong to one process: open them after a fork or spawn.
"""

import os
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headgate_engine.errors import StoreError, StoreUnavailable
from headgate_engine.stores.location import StoreLogin
from headgate_engine.stores.shared.log import Unclear

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else its core writes to standard error

import grpc

from headgate_engine.stores.shared import etcd_messages as messages

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
_METHODS: dict[str, tuple[Any, Any]] = {
    "/etcdserverpb.KV/Range": (messages.RangeRequest, messages.RangeResponse),
    "/etcdserverpb.KV/DeleteRange": (messages.DeleteRangeRequest, messages.DeleteRangeResponse),
    "/etcdserverpb.KV/Txn": (messages.TxnRequest, messages.TxnResponse),
    "/etcdserverpb.KV/Put": (messages.PutRequest, messages.PutResponse),
    "/etcdserverpb.Lease/LeaseGrant": (messages.LeaseGrantRequest, messages.LeaseGrantResponse),
    "/etcdserverpb.Maintenance/Status": (messages.StatusRequest, messages.StatusResponse),
    "/etcdserverpb.Auth/Authenticate": (
        messages.AuthenticateRequest,
        messages.AuthenticateResponse,
    ),
}
_STATUS_SECONDS, _STATUS_TIMEOUT = 5.0, 0.3
_WATCH = "/etcdserverpb.Watch/Watch"
_CODES = grpc.StatusCode
_NOT_SENT = ("failed to connect", "connection refused", "dns resolution failed")
# Refusals that are certain, and what they mean.
_REFUSALS = {
    _CODES.RESOURCE_EXHAUSTED: "it is full, or has too many requests",
    _CODES.PERMISSION_DENIED: "this user may not use the prefix",
    _CODES.INVALID_ARGUMENT: "it refuses the request",
    _CODES.FAILED_PRECONDITION: "it refuses the request",
    _CODES.UNIMPLEMENTED: "it is no etcd",
}


class Compacted(Exception):
    """The revision to read, or to watch from, is no longer there."""


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    """The members of an etcd, each `host:port`, and how to log in there; *tls*: by TLS."""

    members: tuple[str, ...]
    tls: bool = False
    login: StoreLogin = StoreLogin()


class EtcdClient:
    """Calls the members of *address*, one after the other. Thread-safe; calls block."""

    def __init__(self, address: EtcdAddress) -> None:
        self._address = address
        self._credentials = _credentials(address.login) if address.tls else None
        self._lock = threading.Lock()
        self._channels: dict[str, grpc.Channel] = {}
        self._current = 0
        self._token = ""
        self._watches: set[Any] = set()
        self._closed = False
        self._members_up = float("-inf"), 0

    def read(self, method: str, request: Any) -> Any:
        """Returns the response of the first member that answers. Raises StoreUnavailable."""
        reason = "no member answers"
        for _ in range(len(self._address.members)):
            try:
                return self._call(method, request)
            except Unclear:
                self._next_member()
            except StoreUnavailable as error:
                if str(error) != _away().args[0]:
                    raise
                self._next_member()
        raise StoreUnavailable(reason)

    def write(self, method: str, request: Any) -> Any:
        """Returns the response of a member. Raises StoreUnavailable, and Unclear."""
        for _ in range(len(self._address.members)):
            try:
                return self._call(method, request)
            except Unclear:
                self._next_member()
                raise
            except StoreUnavailable as error:
                if str(error) != _away().args[0]:
                    raise
                self._next_member()
        raise _away()

    def _call(self, method: str, request: Any) -> Any:
        """Returns the response of the current member; logs in anew once, if that is refused."""
        try:
            return self._send(method, request)
        except grpc.RpcError as error:
            if not self._address.login.user or not _is_login_refused(error):
                raise _translated(error) from None
        self._token = ""
        try:
            return self._send(method, request)
        except grpc.RpcError as error:
            raise _translated(error) from None

    def _send(self, method: str, request: Any) -> Any:
        _, response = _METHODS[method]
        call: Callable[..., Any] = self._channel().unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        metadata = self._metadata()
        with self._open():
            return call(request, timeout=self._address.login.timeout, metadata=metadata)

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Raises StoreUnavailable if another thread has closed the channel meanwhile."""
        try:
            yield
        except ValueError:  # of grpc
            if not self._closed:
                raise
            raise StoreUnavailable("it is closed") from None

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if not self._address.login.user:
            return ()
        if not self._token:
            request = messages.AuthenticateRequest(
                name=self._address.login.user, password=self._address.login.password
            )
            call: Callable[..., Any] = self._channel().unary_unary(
                "/etcdserverpb.Auth/Authenticate",
                request_serializer=messages.AuthenticateRequest.SerializeToString,
                response_deserializer=messages.AuthenticateResponse.FromString,
            )
            self._token = str(call(request, timeout=self._address.login.timeout).token)
        return (("token", self._token),)

    def members_up(self, method: str, request: Any) -> tuple[int, int]:
        """Returns how many members answer *request* from their own data, and how many there are.

        The result is kept for some seconds.
        """
        with self._lock:
            known_at, known = self._members_up
        if time.monotonic() - known_at > _STATUS_SECONDS:
            known = sum(self._responds(it, method, request) for it in self._address.members)
            with self._lock:
                self._members_up = time.monotonic(), known
        return known, len(self._address.members)

    def _responds(self, member: str, method: str, request: Any) -> bool:
        _, response = _METHODS[method]
        try:
            call: Callable[..., Any] = self._channel(member).unary_unary(
                method,
                request_serializer=type(request).SerializeToString,
                response_deserializer=response.FromString,
            )
            call(request, timeout=_STATUS_TIMEOUT, metadata=self._metadata())
        except (grpc.RpcError, StoreUnavailable):
            return False
        return True

    def _channel(self, member: str = "") -> grpc.Channel:
        """Returns the channel of *member*; "" for the current one."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable("it is closed")
            members = self._address.members
            member = member or members[self._current % len(members)]
            if member not in self._channels:
                options = list(_OPTIONS)
                self._channels[member] = (
                    grpc.insecure_channel(member, options=options)
                    if self._credentials is None
                    else grpc.secure_channel(member, self._credentials, options=options)
                )
            return self._channels[member]

    def _next_member(self) -> None:
        with self._lock:
            self._current += 1

    def watch(self, key: bytes, range_end: bytes, revision: int) -> Iterator[Sequence[Any]]:
        """Yields the events of the keys from *revision* on, as they come; ends after `close`.

        With the *revision* 0, it begins now. Raises Compacted, and StoreUnavailable at the end of
        the connection.
        """
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        create = messages.WatchCreateRequest(key=key, range_end=range_end, start_revision=revision)
        requests.put(messages.WatchRequest(create_request=create))
        try:
            stream: Callable[..., Any] = self._channel().stream_stream(
                _WATCH,
                request_serializer=messages.WatchRequest.SerializeToString,
                response_deserializer=messages.WatchResponse.FromString,
            )
            # A member without a leader ends the watch.
            metadata = (*self._metadata(), ("hasleader", "true"))
            with self._open():
                call = stream(iter(requests.get, None), metadata=metadata)
        except grpc.RpcError as error:
            self._token = ""
            raise _translated(error) from None
        with self._lock:
            self._watches.add(call)
        try:
            for response in call:
                if response.canceled:
                    self._token = ""
                    if response.compact_revision:
                        raise Compacted
                    raise StoreUnavailable("the watch was canceled")
                yield response.events
        except grpc.RpcError as error:
            if error.code() is not _CODES.CANCELLED:  # else the next member is chosen already
                self._next_member()
            if not self._closed:
                raise StoreUnavailable("the watch has ended") from None
        finally:
            requests.put(None)
            call.cancel()
            with self._lock:
                self._watches.discard(call)

    def reload(self) -> None:
        """Reads the certificates again, and makes new connections. Raises StoreError.

        Calls in progress end on their former connections.
        """
        if not self._address.tls:
            return
        credentials = _credentials(self._address.login)
        with self._lock:
            self._credentials, self._channels = credentials, {}
        self.end_watches()

    def end_watches(self) -> None:
        """Ends all watches: the next ones are at another member."""
        self._next_member()
        with self._lock:
            watches = list(self._watches)
        for watch in watches:
            watch.cancel()

    def close(self) -> None:
        """Ends all watches and connections."""
        with self._lock:
            self._closed = True
            watches, channels = list(self._watches), list(self._channels.values())
        for watch in watches:
            watch.cancel()
        for channel in channels:
            channel.close()


def _credentials(login: StoreLogin) -> grpc.ChannelCredentials:
    """Returns the credentials in the files of *login*. Raises StoreError."""
    _check_certificates(login)
    contents: list[bytes | None] = []
    for path in (login.ca_file, login.private_key_file, login.certificate_file):
        try:
            contents.append(Path(path).read_bytes() if path else None)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from None
    return grpc.ssl_channel_credentials(*contents)


def _check_certificates(login: StoreLogin) -> None:
    """Raises StoreError unless the files of *login* are PEM: grpc would only fail to connect."""
    context = ssl.create_default_context()
    path = login.ca_file
    try:
        if path:
            context.load_verify_locations(path)
        if path := login.certificate_file:
            context.load_cert_chain(path, login.private_key_file or None, lambda: b"")
    except ssl.SSLError:
        raise StoreError(f"{path}: no certificate in PEM, or not that of the key") from None
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror}") from None


def _away() -> StoreUnavailable:
    return StoreUnavailable("no member of etcd answers")


def _is_login_refused(error: Any) -> bool:
    text = str(error.details() or "")
    return error.code() is _CODES.UNAUTHENTICATED or "invalid auth token" in text


def _translated(error: Any) -> Exception:
    """Returns what the failure *error* of gRPC means. Its own text holds addresses."""
    code, text = error.code(), str(error.details() or "").lower()
    if _is_login_refused(error) or "authentication failed" in text:
        return StoreUnavailable("etcd refuses the user or the password")
    if "user name is empty" in text:
        return StoreUnavailable(
            "etcd asks for a user: set user and password-file, or a certificate"
        )
    if "has been compacted" in text:
        return Compacted()
    if "database space exceeded" in text:
        return StoreUnavailable("etcd is full: database space exceeded")
    if code in _REFUSALS:
        return StoreUnavailable(f"etcd: {_REFUSALS[code]}")
    if code is _CODES.UNAVAILABLE and any(part in text for part in _NOT_SENT):
        return _away()
    return Unclear()
