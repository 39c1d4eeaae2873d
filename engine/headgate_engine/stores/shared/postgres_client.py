"""Connections to PostgreSQL: a time limit for each call, and what its errors mean.

Only this module knows psycopg. Connections belong to one process: open them after a fork or spawn.
"""

import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors

from headgate_engine.errors import StoreError, StoreUnavailable
from headgate_engine.stores.location import StoreLogin
from headgate_engine.stores.shared.log import Unclear
from headgate_engine.stores.shared.postgres_certificates import CertificateCopies

Values = Sequence[object] | Mapping[str, object]

_CONNECT_SECONDS = 2  # the least that libpq takes
_MAX_FREE = 8
# Refusals that are certain, and what they mean.
_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (errors.InsufficientPrivilege, "this user may not use the tables"),
    (errors.DiskFull, "it is full: no space is left on its disk"),
    (errors.ReadOnlySqlTransaction, "it is a standby, which takes no changes"),
)


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """The URL of a database, as libpq takes it, and how to log in."""

    url: str
    login: StoreLogin = StoreLogin()

    def parameters(self, certificates: CertificateCopies) -> dict[str, Any]:
        """Returns what libpq needs beside the URL."""
        given = {
            "sslrootcert": certificates.login.ca_file,
            "sslcert": certificates.login.certificate_file,
            "sslkey": certificates.login.private_key_file,
            "user": self.login.user,
            "password": self.login.password,
        }
        if self.login.ca_file and "sslmode" not in self.url:
            given["sslmode"] = "verify-full"  # libpq's default goes on in the clear
        return {name: value for name, value in given.items() if value}


class PostgresClient:
    """Runs statements on the primary of *address*, on connections of its own. Thread-safe."""

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._certificates = CertificateCopies(address.login)
        self._lock = threading.Lock()
        self._free: list[psycopg.Connection[Any]] = []
        self._listening: set[psycopg.Connection[Any]] = set()
        self._closed = False

    def read(self, statement: str, values: Values = (), seconds: float = 0.0) -> list[Any]:
        """Returns the rows of *statement*, within *seconds* (0: one call). StoreUnavailable."""
        try:
            return self.write(statement, values, seconds)
        except Unclear:
            raise _away() from None

    def write(self, statement: str, values: Values = (), seconds: float = 0.0) -> list[Any]:
        """Returns the rows of *statement*, once it is committed. Raises StoreUnavailable, Unclear.

        It may take *seconds*; 0: the time of one call.

        A time limit closes the connection and cancels nothing: a commit that waits for a standby
        would otherwise end without it.
        """
        with self._borrowed() as connection, self._limited(connection, seconds):
            try:
                cursor = connection.execute(statement.encode(), values)
                return cursor.fetchall() if cursor.description else []
            except errors.UndefinedTable:
                raise
            except psycopg.Error as error:
                raise _translated(error) from None

    @contextmanager
    def _borrowed(self) -> Iterator[psycopg.Connection[Any]]:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("it is closed")
            connection = self._free.pop() if self._free else None
        if connection is None or connection.closed:
            connection = self._connected()
        try:
            yield connection
        finally:
            with self._lock:
                keep = not (self._closed or connection.broken) and len(self._free) < _MAX_FREE
                if keep:
                    self._free.append(connection)
            if not keep:
                connection.close()

    def _connected(self, certificates: CertificateCopies | None = None) -> psycopg.Connection[Any]:
        """Returns a new connection. *certificates* replace those in use."""
        parameters: dict[str, Any] = {
            "connect_timeout": _CONNECT_SECONDS,
            "target_session_attrs": "read-write",
        }
        certificates = certificates or self._certificates  # they must not end meanwhile
        parameters |= self._address.parameters(certificates)
        try:
            connection = psycopg.connect(
                self._address.url, autocommit=True, **parameters, application_name="headgate"
            )
        except psycopg.OperationalError as error:
            raise _connection_failure(error) from None
        except psycopg.Error:  # the URL cannot be read
            raise StoreError("the URL of PostgreSQL is invalid") from None
        # Without synchronous_commit a change may be acknowledged before it is durable. A statement
        # that waits for a lock ends at the server, too: only a commit waits for the standby.
        milliseconds = max(1, int(self._address.login.timeout * 1000))
        settings = (
            "SET synchronous_commit = on; SET client_encoding = 'UTF8';"
            f" SET lock_timeout = {milliseconds}"
        )
        try:
            with self._limited(connection):
                connection.execute(settings.encode())
        except psycopg.Error:
            connection.close()
            raise _away() from None
        return connection

    @contextmanager
    def _limited(self, connection: psycopg.Connection[Any], seconds: float = 0.0) -> Iterator[None]:
        """Ends the call on *connection* after *seconds* (0: the limit), by closing its socket."""
        timer = threading.Timer(seconds or self._address.login.timeout, _shut_down, [connection])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @contextmanager
    def listening(self, channel: str) -> Iterator[psycopg.Connection[Any]]:
        """Yields a connection that listens on *channel*. Raises StoreUnavailable."""
        connection = self._connected()
        with self._lock:
            self._listening.add(connection)
        try:
            with self._limited(connection):
                connection.execute(f'LISTEN "{channel}"'.encode())
            yield connection
        except psycopg.Error:
            raise _away() from None
        finally:
            with self._lock:
                self._listening.discard(connection)
            connection.close()

    @staticmethod
    def wait(connection: psycopg.Connection[Any], seconds: float) -> list[str]:
        """Waits for a notification on *connection*, at most *seconds*. Returns what it says."""
        return [it.payload for it in connection.notifies(timeout=seconds, stop_after=1)]

    def reload(self) -> None:
        """Makes new connections from now on, with the files of certificates as they are now.

        Raises StoreError if none can be made: then the former ones stay.
        """
        if not (self._address.login.ca_file or self._address.login.certificate_file):
            return
        try:
            certificates = CertificateCopies(self._address.login)
            new = self._connected(certificates)
        except StoreUnavailable as error:
            raise StoreError(f"the former certificates stay in use: {error}") from None
        with self._lock:
            self._certificates = certificates
            free, self._free = self._free, [new]
        for connection in free:
            connection.close()
        self.stop_listening()

    def stop_listening(self) -> None:
        """Ends each `listening`: the connection is made again."""
        with self._lock:
            listening = list(self._listening)
        for connection in listening:
            _shut_down(connection)

    def close(self) -> None:
        """Closes all connections."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        self.stop_listening()
        for connection in free:
            connection.close()


UndefinedTable = errors.UndefinedTable


def _shut_down(connection: psycopg.Connection[Any]) -> None:
    """Ends what another thread does on *connection*, without a message to the server."""
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)


def _away() -> StoreUnavailable:
    return StoreUnavailable("PostgreSQL does not answer")


def _connection_failure(error: psycopg.OperationalError) -> StoreUnavailable:
    """Returns what a failed connection means. The error's own text holds addresses."""
    text = str(error).lower()
    if "authentication failed" in text or "no password supplied" in text or "no pg_hba" in text:
        return StoreUnavailable("PostgreSQL refuses the user or the password")
    if "does not exist" in text and "database" in text:
        return StoreUnavailable("PostgreSQL has no such database")
    if "certificate" in text or "ssl" in text:
        return StoreUnavailable("the TLS connection to PostgreSQL fails")
    if "session is read-only" in text or "in recovery" in text:
        return StoreUnavailable("PostgreSQL has no primary")
    return _away()


def _translated(error: psycopg.Error) -> Exception:
    """Returns what *error* means: a certain refusal, or no answer."""
    for kind, meaning in _REFUSALS:
        if isinstance(error, kind):
            return StoreUnavailable(f"PostgreSQL: {meaning}")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unclear()
    return StoreUnavailable(f"PostgreSQL refuses the statement: {type(error).__name__}")
