"""A store that speaks InfluxQL: what is forwarded to it, and how its answers come back.

Nothing that a client sent is forwarded: statements are printed from the trees that were
authorized, with the one database that they were authorized for.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from headgate_engine import NoUpstream, Result, Series
from headgate_grammar import (
    CreateContinuousQuery,
    CreateDatabase,
    CreateUser,
    Delete,
    DropDatabase,
    DropUser,
    Explain,
    Grant,
    GrantAdmin,
    Revoke,
    RevokeAdmin,
    Select,
    SetPassword,
    ShowDatabases,
    ShowGrants,
    ShowUsers,
    Statement,
)
from headgate_server.failures import Answered, Broken
from headgate_server.gateway.client import Incoming
from headgate_server.gateway.upstream import Upstream

_OURS = (
    *(CreateUser, DropUser, SetPassword, ShowUsers, ShowGrants, ShowDatabases),
    *(Grant, GrantAdmin, Revoke, RevokeAdmin),
)
LARGEST = 1 << 26  # of answers that have to be held whole
_LARGEST_ERROR = 1 << 20
_FORM = ("Content-Type", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query asks for beside its statements, as far as the upstream has to know."""

    database: str
    policy: str = ""
    epoch: str = ""
    chunk_size: str = ""
    media_type: str = "application/json"
    pretty: bool = False
    gzip: bool = False
    id: str = ""

    @property
    def target(self) -> str:
        """Path and query: InfluxDB looks for `pretty` in no other place."""
        return "/query?pretty=true" if self.pretty else "/query"

    def form(self, statement: Statement, *, chunked: bool = False) -> bytes:
        fields = {
            "q": str(statement),
            "db": self.database,
            "rp": self.policy,
            "epoch": self.epoch,
            "chunked": "true" if chunked else "",
            "chunk_size": self.chunk_size if chunked else "",
        }
        return urlencode({name: value for name, value in fields.items() if value}).encode()

    def headers(self, *, gzip: bool) -> list[tuple[str, str]]:
        headers = [_FORM, ("Accept", self.media_type), ("User-Agent", "headgate")]
        headers.append(("Accept-Encoding", "gzip" if gzip else "identity"))
        return [*headers, ("X-Request-Id", self.id)] if self.id else headers


class InfluxStore:
    """Users and grants are Headgate's, databases the upstream's, of InfluxDB 1.x as its own."""

    speaks_influxql = True

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        # From version 2 on databases are not made by InfluxQL.
        self._keeps_databases = upstream.settings.protocol == "influxdb1"

    def is_ours(self, statement: Statement) -> bool:
        """Whether Headgate answers *statement* itself."""
        if isinstance(statement, CreateDatabase | DropDatabase):
            return not self._keeps_databases
        return isinstance(statement, _OURS)

    async def begun(self, statement: Statement, asked: Asked, *, chunked: bool) -> Incoming:
        """Its answer to *statement*, as it comes. Raises Answered, UpstreamError."""
        reply = await self.upstream.send(
            "POST",
            asked.target,
            asked.headers(gzip=asked.gzip),
            asked.form(statement, chunked=chunked),
            again=reads(statement),
        )
        await check(reply)
        return reply

    async def whole(self, statement: Statement, asked: Asked, media_type: str) -> bytes:
        """Its whole answer to *statement*. Raises Answered, UpstreamError."""
        headers = [("Accept", media_type), *asked.headers(gzip=False)[2:]]
        reply = await self.upstream.send(
            "POST", asked.target, [_FORM, *headers], asked.form(statement), again=reads(statement)
        )
        await check(reply)
        return await reply.read(LARGEST)

    async def result(self, statement: Statement, asked: Asked) -> Result:
        """The same, understood. For small answers: figures lose how they were written."""
        return decoded(statement, await self.whole(statement, asked, "application/json"))

    async def databases(self) -> list[str]:
        """Their names. Raises Answered, UpstreamError."""
        result = await self.result(ShowDatabases(), Asked(""))
        if result.error:
            raise Answered(502, f"the upstream store does not list its databases: {result.error}")
        return [str(row[0]) for series in result.series for row in series.values]


class Nowhere(InfluxStore):
    """No store of InfluxQL's for a request, though others lose a database when it is dropped."""

    speaks_influxql = False

    def __init__(self) -> None:
        """Asks nobody."""

    def is_ours(self, statement: Statement) -> bool:
        return isinstance(statement, (CreateDatabase, *_OURS))

    async def result(self, statement: Statement, asked: Asked) -> Result:
        if isinstance(statement, DropDatabase):
            return Result(statement)
        return Result(statement, error=str(NoUpstream()))

    async def databases(self) -> list[str]:
        return []


async def check(reply: Incoming) -> None:
    """Raises Answered for a refusal, Broken for what can be no answer to a query."""
    if 200 <= reply.status < 300:
        return
    if reply.status < 400:
        reply.close()
        raise Broken
    raise Answered(reply.status, error_text(await reply.read(_LARGEST_ERROR)))


def error_text(body: bytes) -> str:
    """What an answer with an error says."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        return str(content["error"])
    return body.decode("utf-8", "replace").strip()[:1000] or "the upstream store gave no reason"


def decoded(statement: Statement, body: bytes) -> Result:
    """The one result in a JSON answer. Raises Broken."""
    try:
        content: dict[str, Any] = json.loads(body)["results"][0]
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


def reads(statement: Statement) -> bool:
    """Whether *statement* changes nothing, so that it may be asked twice."""
    match statement:
        case Select(target=target):
            return target is None
        case Explain():
            return True
        case Delete() | CreateContinuousQuery():
            return False
        case _:
            return type(statement).__name__.startswith("Show")


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The documents of a chunked JSON answer, one a line. Raises Broken for very long ones."""
    parts: list[bytes] = []
    size = 0
    async for piece in pieces:
        first, *others = piece.split(b"\n")
        parts.append(first)
        size += len(first)
        for other in others:
            if size:
                yield b"".join(parts)
            parts, size = [other], len(other)
        if size > LARGEST:
            raise Broken
    if size:
        yield b"".join(parts)
