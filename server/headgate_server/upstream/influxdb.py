"""An upstream that supports InfluxQL: sends statements and decodes the answers.

The client's text is never forwarded. Statements are printed from the trees that were authorized,
with the one database that they were authorized for.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode

from headgate_engine import NoUpstream, Result, Series, reads
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
from headgate_server.upstream.connection_pool import Incoming
from headgate_server.upstream.errors import Answered, Broken, SeveralResults
from headgate_server.upstream.memory_budget import Hold
from headgate_server.upstream.upstream import Upstream

OURS = (
    *(CreateUser, DropUser, SetPassword, ShowUsers, ShowGrants, ShowDatabases),
    *(Grant, GrantAdmin, Revoke, RevokeAdmin),
)
LARGEST = 1 << 24  # bytes of an answer that must be buffered whole
# A longer text is parsed again in a thread.
_LONG_TEXT = 2000
_LARGEST_ERROR = 1 << 20
Grow = Callable[[int], None]


def uncounted(size: int) -> None:
    """Ignores *size*: the default for small answers, which no budget counts."""


_FORM = ("Content-Type", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a query that are sent upstream beside its statements."""

    database: str
    policy: str = ""
    epoch: str = ""
    chunk_size: str = ""
    media_type: str = "application/json"
    pretty: bool = False
    gzip: bool = False
    id: str = ""
    # Parses long texts again in a thread, fairly among users; if None, the store's own is used.
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
            "rp": self.policy,
            "epoch": self.epoch,
            "chunked": "true" if chunked else "",
            "chunk_size": self.chunk_size if chunked else "",
        }
        return urlencode({name: value for name, value in fields.items() if value}).encode()

    def headers(self, *, gzip: bool) -> list[tuple[str, str]]:
        """Returns the headers of a request; *gzip* accepts a compressed answer."""
        headers = [_FORM, ("Accept", self.media_type), ("User-Agent", "headgate")]
        headers.append(("Accept-Encoding", "gzip" if gzip else "identity"))
        return [*headers, ("X-Request-Id", self.id)] if self.id else headers


class InfluxStore:
    """An InfluxDB upstream. Headgate executes the statements about users and grants itself.

    CREATE DATABASE and DROP DATABASE are sent upstream for InfluxDB 1.x only.
    """

    speaks_influxql = True

    def __init__(self, upstream: Upstream, run: Run) -> None:
        self.upstream = upstream
        self._run = run
        self._parse = ParseCache()  # unbounded: a printed text may be longer than the original
        # Since version 2, InfluxDB creates no databases by InfluxQL.
        self._keeps_databases = upstream.settings.protocol == "influxdb1"

    def is_ours(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself."""
        if isinstance(statement, CreateDatabase | DropDatabase):
            return not self._keeps_databases
        return isinstance(statement, OURS)

    async def text(self, statement: Statement, run: Run | None = None) -> str:
        """Returns the text that is sent for *statement*, after it was parsed as the same statement.

        A long text is parsed in a thread, by *run* if given. Raises UnparseError, Overloaded.
        """
        read_back = partial(self.read_back, statement)
        short = len(str(statement)) <= _LONG_TEXT
        return read_back() if short else await (run or self._run)(read_back)

    def read_back(self, statement: Statement) -> str:
        """Returns the text of *statement* that is sent, after it was parsed as the same statement.

        Thread-safe. Blocks as long as it takes to parse the text. Raises UnparseError.
        """
        return unparse(statement, self._parse)

    async def begun(self, statement: Statement, asked: Asked, *, chunked: bool) -> Incoming:
        """Sends *statement* and returns the response as soon as its head has arrived.

        Raises Answered, UpstreamError, UnparseError, Overloaded.
        """
        reply = await self.upstream.send(
            "POST",
            asked.target,
            asked.headers(gzip=asked.gzip),
            asked.form(await self.text(statement, asked.run), chunked=chunked),
            again=reads(statement),
        )
        await check(reply)
        _check_encoding(reply, ("", "identity", "gzip") if asked.gzip else ("", "identity"))
        return reply

    async def result(self, statement: Statement, asked: Asked, grow: Grow = uncounted) -> Result:
        """Sends *statement* and returns its decoded result; numbers lose their original notation.

        *grow* is called with the size of each chunk of the answer. Raises Answered, UpstreamError,
        UnparseError, Overloaded.
        """
        headers = [_FORM, ("Accept", "application/json"), *asked.headers(gzip=False)[2:]]
        form = asked.form(await self.text(statement, asked.run))
        reply = await self.upstream.send(
            "POST", asked.target, headers, form, again=reads(statement)
        )
        await check(reply)
        _check_encoding(reply, ("", "identity"))
        return decoded(statement, await reply.read(LARGEST, grow))

    async def databases(self) -> list[str]:
        """Returns the names of the upstream's databases. Raises Answered, UpstreamError."""
        result = await self.result(ShowDatabases(), Asked(""))
        if result.error:
            raise Answered(502, f"the upstream store does not list its databases: {result.error}")
        return [str(row[0]) for series in result.series for row in series.values]


class Nowhere(InfluxStore):
    """Stands in for a missing InfluxQL upstream, where other stores delete dropped databases."""

    speaks_influxql = False

    def __init__(self) -> None:
        """Needs no upstream."""

    def is_ours(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself."""
        return isinstance(statement, (CreateDatabase, *OURS))

    async def result(self, statement: Statement, asked: Asked, grow: Grow = uncounted) -> Result:
        """Returns an empty result for DROP DATABASE, else the error `NoUpstream`."""
        if isinstance(statement, DropDatabase):
            return Result(statement)
        return Result(statement, error=str(NoUpstream()))

    async def databases(self) -> list[str]:
        """Returns an empty list."""
        return []


async def check(reply: Incoming) -> None:
    """Raises Answered for a status of 400 or more, Broken for a 3xx status."""
    if 200 <= reply.status < 300:
        return
    if reply.status < 400:
        reply.close()
        raise Broken
    raise Answered(reply.status, error_text(await reply.read(_LARGEST_ERROR)))


def _check_encoding(reply: Incoming, taken: tuple[str, ...]) -> None:
    """Raises Broken if the `Content-Encoding` of *reply* is not in *taken*."""
    if reply.header("Content-Encoding") not in taken:
        reply.close()
        raise reply.broken("an unrequested Content-Encoding")


def error_text(body: bytes) -> str:
    """Returns the error message in the *body* of an answer, at most 1000 characters if not JSON."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        return str(content["error"])
    return body.decode("utf-8", "replace").strip()[:1000] or "the upstream store gave no reason"


def decoded(statement: Statement, body: bytes) -> Result:
    """Returns the only result in the JSON answer *body*. Raises Broken, SeveralResults."""
    try:
        content: dict[str, Any]
        content, *others = json.loads(body)["results"]
        if others:
            raise SeveralResults
        series = tuple(map(_series, content.get("series", ())))
        return Result(statement, series, str(content.get("error", "")))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Broken from None


def _series(content: Mapping[str, Any]) -> Series:
    return Series(
        content.get("name", ""),
        tuple(content["columns"]),
        content.get("values", ()),
        content.get("tags") or {},
    )


async def lines(pieces: AsyncIterator[bytes], hold: Hold) -> AsyncIterator[bytes]:
    """Yields the documents of a chunked JSON answer, one per line.

    Raises Broken for a document of more than `LARGEST` bytes; Overloaded.
    """
    parts: list[bytes] = []
    size = 0
    async for piece in pieces:
        first, *others = piece.split(b"\n")
        parts.append(first)
        size += len(first)
        hold.grow(len(piece))
        for other in others:
            if size:
                yield b"".join(parts)
            parts, size = [other], len(other)
        if others:
            hold.release()
            hold.grow(size)
        if size > LARGEST:
            raise Broken
    if size:
        yield b"".join(parts)
