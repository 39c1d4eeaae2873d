"""An InfluxDB as upstream store: sends InfluxQL statements, and decodes the answers.

The client's text is never forwarded. Headgate prints each statement from its authorized syntax
tree, and sends this text with the database for which the statement was authorized.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode

from headgate_engine import NoUpstream, Result, Series, is_read_only
from headgate_grammar import (
    CreateDatabase,
    CreateUser,
    DropDatabase,
    DropUser,
    Grant,
    GrantAdmin,
    ParseCache,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowDatabases,
    ShowGrants,
    ShowUsers,
    Statement,
    unparse,
)
from headgate_server.background.thread_pool import Run
from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.errors import (
    UnexpectedResults,
    UpstreamProtocolError,
    UpstreamRejected,
)
from headgate_server.upstream.memory_budget import Reservation
from headgate_server.upstream.upstream import Upstream

LOCAL_STATEMENTS = (
    *(CreateUser, DropUser, SetPassword, ShowUsers, ShowGrants, ShowDatabases),
    *(Grant, GrantAdmin, Revoke, RevokeAdmin),
)
MAX_ANSWER_BYTES = 1 << 24  # the largest answer that is buffered whole
# The printed text of a longer statement is parsed again, to verify it, in a thread.
_MAX_INLINE_CHARS = 2000
_MAX_ERROR_BYTES = 1 << 20
ByteCounter = Callable[[int], None]


def ignore_bytes(size: int) -> None:
    """Ignores *size*: for small answers, which no memory budget counts."""


_FORM_HEADER = ("Content-Type", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """The options of a query that are sent upstream beside its statements."""

    database: str
    retention_policy: str = ""
    epoch: str = ""
    chunk_size: str = ""
    media_type: str = "application/json"
    pretty: bool = False
    gzip: bool = False
    request_id: str = ""
    # Runs the verification of a long statement in a thread, with turns among users. None: the
    # parameter *run* of `InfluxStore` runs it.
    run: Run | None = field(default=None, repr=False, compare=False)

    @property
    def target(self) -> str:
        """The path and query of the request: InfluxDB reads `pretty` from the URL only."""
        return "/query?pretty=true" if self.pretty else "/query"

    def form(self, text: str, *, chunked: bool = False) -> bytes:
        """Returns the form body of a request for the statement *text*."""
        fields = {
            "q": text,
            "db": self.database,
            "rp": self.retention_policy,
            "epoch": self.epoch,
            "chunked": "true" if chunked else "",
            "chunk_size": self.chunk_size if chunked else "",
        }
        return urlencode({name: value for name, value in fields.items() if value}).encode()

    def headers(self, *, gzip: bool) -> list[tuple[str, str]]:
        """Returns the headers of a request. With *gzip*, the answer may be compressed."""
        headers = [_FORM_HEADER, ("Accept", self.media_type), ("User-Agent", "headgate")]
        headers.append(("Accept-Encoding", "gzip" if gzip else "identity"))
        return [*headers, ("X-Request-Id", self.request_id)] if self.request_id else headers


class InfluxStore:
    """An InfluxDB as upstream store. Headgate executes statements about users and grants itself.

    CREATE DATABASE and DROP DATABASE are sent to an InfluxDB 1.x only.
    """

    supports_influxql = True

    def __init__(self, upstream: Upstream, run: Run) -> None:
        self.upstream = upstream
        self._run = run
        self._parse = ParseCache()  # unbounded: a printed text may be longer than the original
        # Since version 2, InfluxDB creates no databases by InfluxQL.
        self._creates_databases = upstream.settings.protocol == "influxdb1"

    def is_local(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself, without the upstream store."""
        if isinstance(statement, CreateDatabase | DropDatabase):
            return not self._creates_databases
        return isinstance(statement, LOCAL_STATEMENTS)

    async def statement_text(self, statement: Statement, run: Run | None = None) -> str:
        """Returns the InfluxQL text of *statement*, as `verified_text` does.

        A long statement is printed and verified in a thread: by *run*, or else by the *run* of this
        store. Raises UnparseError, Overloaded.
        """
        verify = partial(self.verified_text, statement)
        short = len(str(statement)) <= _MAX_INLINE_CHARS
        return verify() if short else await (run or self._run)(verify)

    def verified_text(self, statement: Statement) -> str:
        """Returns the InfluxQL text of *statement*, which the upstream store can execute.

        The text is parsed again, and must yield a statement equal to *statement*. Otherwise the
        store could execute another statement than the authorized one, so UnparseError is raised.
        Thread-safe. Blocks while the text is parsed.
        """
        return unparse(statement, self._parse)

    async def send_statement(
        self, statement: Statement, options: QueryOptions, *, chunked: bool
    ) -> UpstreamResponse:
        """Sends *statement* and returns the response as soon as its head has arrived.

        Raises UpstreamRejected, UpstreamError, UnparseError, Overloaded.
        """
        reply = await self.upstream.send(
            "POST",
            options.target,
            options.headers(gzip=options.gzip),
            options.form(await self.statement_text(statement, options.run), chunked=chunked),
            idempotent=is_read_only(statement),
        )
        await check_status(reply)
        _check_encoding(reply, ("", "identity", "gzip") if options.gzip else ("", "identity"))
        return reply

    async def execute(
        self, statement: Statement, options: QueryOptions, count_bytes: ByteCounter = ignore_bytes
    ) -> Result:
        """Sends *statement*, and returns its result decoded from JSON.

        Decoded numbers lose their spelling: the client receives `1.5` for `1.50`.
        *count_bytes* is called with the size of each chunk of the answer. Raises UpstreamRejected,
        UpstreamError, UnparseError, Overloaded.
        """
        headers = [_FORM_HEADER, ("Accept", "application/json"), *options.headers(gzip=False)[2:]]
        form = options.form(await self.statement_text(statement, options.run))
        reply = await self.upstream.send(
            "POST", options.target, headers, form, idempotent=is_read_only(statement)
        )
        await check_status(reply)
        _check_encoding(reply, ("", "identity"))
        return decode_result(statement, await reply.read(MAX_ANSWER_BYTES, count_bytes))

    async def databases(self) -> list[str]:
        """Returns the names of the store's databases. Raises UpstreamRejected, UpstreamError."""
        result = await self.execute(ShowDatabases(), QueryOptions(""))
        if result.error:
            raise UpstreamRejected(
                502, f"the upstream store does not list its databases: {result.error}"
            )
        return [str(row[0]) for series in result.series for row in series.values]


class NoUpstreamStore(InfluxStore):
    """Takes the place of an upstream store for a request that is for no upstream store.

    DROP DATABASE succeeds here, so that it still deletes data in stores with `drop-data`.
    """

    supports_influxql = False

    def __init__(self) -> None:
        """Takes no upstream store, and skips the initialization of `InfluxStore`."""

    def is_local(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself, without the upstream store."""
        return isinstance(statement, (CreateDatabase, *LOCAL_STATEMENTS))

    async def execute(
        self, statement: Statement, options: QueryOptions, count_bytes: ByteCounter = ignore_bytes
    ) -> Result:
        """Returns an empty result for DROP DATABASE, else the error `NoUpstream`."""
        if isinstance(statement, DropDatabase):
            return Result(statement)
        return Result(statement, error=str(NoUpstream()))

    async def databases(self) -> list[str]:
        """Returns an empty list."""
        return []


async def check_status(reply: UpstreamResponse) -> None:
    """Raises UpstreamRejected for a status from 400, UpstreamProtocolError for 3xx."""
    if 200 <= reply.status < 300:
        return
    if reply.status < 400:
        reply.close()
        raise UpstreamProtocolError
    raise UpstreamRejected(reply.status, error_message(await reply.read(_MAX_ERROR_BYTES)))


def _check_encoding(reply: UpstreamResponse, accepted: tuple[str, ...]) -> None:
    """Raises UpstreamProtocolError if the `Content-Encoding` of *reply* is not in *accepted*."""
    if reply.header("Content-Encoding") not in accepted:
        reply.close()
        raise reply.protocol_error("an unrequested Content-Encoding")


def error_message(body: bytes) -> str:
    """Returns the error message in the *body* of an answer.

    Without a JSON error, returns at most 1000 characters of *body*.
    """
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        return str(content["error"])
    return body.decode("utf-8", "replace").strip()[:1000] or "the upstream store gave no reason"


def decode_result(statement: Statement, body: bytes) -> Result:
    """Returns the only result in the JSON answer *body*.

    Raises UpstreamProtocolError, UnexpectedResults.
    """
    try:
        content: dict[str, Any]
        content, *others = json.loads(body)["results"]
        if others:
            raise UnexpectedResults
        series = tuple(map(_decode_series, content.get("series", ())))
        return Result(statement, series, str(content.get("error", "")))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UpstreamProtocolError from None


def _decode_series(content: Mapping[str, Any]) -> Series:
    return Series(
        content.get("name", ""),
        tuple(content["columns"]),
        content.get("values", ()),
        content.get("tags") or {},
    )


async def iter_documents(
    chunks: AsyncIterator[bytes], reservation: Reservation
) -> AsyncIterator[bytes]:
    """Yields the documents of a chunked JSON answer. Each line of the answer is a document.

    *reservation* counts bytes buffered here. Raises Overloaded if its budget is exceeded. Raises
    UpstreamProtocolError for a document of more than `MAX_ANSWER_BYTES` bytes.
    """
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        parts.append(first)
        size += len(first)
        reservation.grow(len(chunk))
        for other in others:
            if size:
                yield b"".join(parts)
            parts, size = [other], len(other)
        if others:
            reservation.release()
            reservation.grow(size)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamProtocolError
    if size:
        yield b"".join(parts)
