"""InfluxQL over HTTP: the options of a query for an upstream store, and the decoding of answers."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from headgate_engine import Result, Series
from headgate_grammar import (
    AlterRetentionPolicy,
    CreateDatabase,
    CreateRetentionPolicy,
    CreateUser,
    DropRetentionPolicy,
    DropUser,
    Grant,
    GrantAdmin,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowDatabases,
    ShowGrants,
    ShowRetentionPolicies,
    ShowUsers,
    Statement,
)
from headgate_server.background.thread_pool import Run
from headgate_server.upstream.errors import UnexpectedResults, UpstreamProtocolError
from headgate_server.upstream.memory_budget import Reservation

# Statements that Headgate executes itself, whatever the upstream store is.
LOCAL_STATEMENTS = (
    *(CreateUser, DropUser, SetPassword, ShowUsers, ShowGrants, ShowDatabases),
    *(Grant, GrantAdmin, Revoke, RevokeAdmin),
)
# Statements that Headgate executes itself where the upstream store has no InfluxQL.
CATALOG_STATEMENTS = (
    *(CreateDatabase, ShowRetentionPolicies),
    *(CreateRetentionPolicy, AlterRetentionPolicy, DropRetentionPolicy),
)
MAX_ANSWER_BYTES = 1 << 24  # the largest answer that is buffered whole
FORM_HEADER = ("Content-Type", "application/x-www-form-urlencoded")
ByteCounter = Callable[[int], None]


def ignore_bytes(size: int) -> None:
    """Does nothing: the default for callers that do not count the bytes of an answer."""


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """The options that Headgate sends to the upstream store together with a statement."""

    database: str
    retention_policy: str = ""
    epoch: str = ""
    chunk_size: str = ""
    media_type: str = "application/json"
    pretty: bool = False
    gzip: bool = False
    request_id: str = ""
    # Runs the verification of a long statement in a thread, with turns among users. None: the
    # adapter's *run* runs it.
    run: Run | None = field(default=None, repr=False, compare=False)

    @property
    def target(self) -> str:
        """The path and query of the request: InfluxDB reads `pretty` from the URL only."""
        return "/query?pretty=true" if self.pretty else "/query"

    def form(self, text: str, *, chunked: bool = False) -> bytes:
        """Returns the form body for the statement *text*. *chunked* asks for a chunked answer."""
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
        headers = [FORM_HEADER, ("Accept", self.media_type), ("User-Agent", "headgate")]
        headers.append(("Accept-Encoding", "gzip" if gzip else "identity"))
        return [*headers, ("X-Request-Id", self.request_id)] if self.request_id else headers


def decode_result(statement: Statement, body: bytes) -> Result:
    """Returns the only result in the JSON answer *body*.

    Raises UpstreamProtocolError for an invalid answer, UnexpectedResults for several results.
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
