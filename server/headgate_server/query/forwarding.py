"""A query with an upstream store: each statement is executed here or upstream.

Statements run one after the other and stop at the first error, as in a single InfluxDB.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from headgate_engine import Principal, Result, reads
from headgate_grammar import (
    CreateDatabase,
    CreateSubscription,
    DropDatabase,
    Privilege,
    ShowContinuousQueries,
    ShowDatabases,
    ShowDiagnostics,
    ShowQueries,
    ShowStats,
    Statement,
)
from headgate_server.formats import Answer, Csv, Format, Json, MessagePack, SeveralStatements
from headgate_server.gateway.result_filter import visible
from headgate_server.http.errors import BadRequest
from headgate_server.http.gzip import Compressor, Unpacker
from headgate_server.http.response import Fields, Reply, Response, streamed, typed
from headgate_server.query.executor import Work
from headgate_server.telemetry.log_message import log_message
from headgate_server.telemetry.logging import complain
from headgate_server.upstream.catalog import Catalogue
from headgate_server.upstream.connection_pool import Incoming
from headgate_server.upstream.errors import (
    Broken,
    SeveralResults,
)
from headgate_server.upstream.influxdb import Asked, InfluxStore, lines
from headgate_server.upstream.memory_budget import Hold
from headgate_server.upstream.relay import FAILURES, Relay, after, sent

# Bytes. A longer response is streamed, without its length.
_SHORT = 1 << 16
# Start of an error in InfluxDB's MessagePack, which lacks the index of its statement.
_ERROR_HEAD = b"\x81\xa7results\x91\x81\xa5error"


@dataclass(slots=True)
class Forwarding:
    """Executes *work* on the upstream *store*, with responses in *format*."""

    work: Work
    store: InfluxStore
    catalogue: Catalogue
    format: Format
    asked: Asked
    hold: Hold
    others: Sequence[InfluxStore] = ()  # stores that also drop a dropped database
    chunked: bool = False
    statements: Sequence[Statement] = ()
    principal: Principal = field(init=False)
    unlisted: Exception | None = None  # why the upstream's databases could not be listed

    async def begin(self) -> None:
        """Parses and authorizes all statements, and imports databases that an administrator names.

        Raises what `Work.authorized` raises, and Overloaded.
        """
        work = self.work
        self.asked = replace(self.asked, run=work.run)
        # Parsing and authorization run in a thread together; cached statements need none.
        if work.soon() is not None:
            self.principal = work.authorized()
        else:
            self.principal = await work.run(work.authorized)
        self.statements = work.parsed
        work.count()
        try:
            await self.catalogue.meant(self.principal, self.statements, work.database)
        except FAILURES as error:
            # Statements that do not need the upstream's databases are executed nevertheless.
            self.unlisted = error
            complain("databases upstream cannot be listed", error=log_message(error))
        if not self._means_database():
            # InfluxDB's SHOW QUERIES shows the request's database to other users.
            self.asked = replace(self.asked, database="", policy="")

    def _means_database(self) -> bool:
        """Returns whether the user has a privilege on the request's database."""
        user = self.principal.user
        return self.principal.unrestricted or (
            user is not None and bool(user.grants.get(self.asked.database, Privilege.NONE))
        )

    async def response(self) -> Response:
        """Returns the response. Raises Answered, UpstreamError, UnparseError, Overloaded."""
        # An HTTP/1.0 client would take a truncated response without a length for a complete one.
        in_pieces = self.work.call.scope["http_version"] != "1.0"
        if in_pieces and len(self.statements) == 1 and self._streams(self.statements[0]):
            return await self._streamed(self.statements[0])
        compressor = Compressor() if self.asked.gzip else None
        if self.chunked:
            pieces = self._documents()
            first = await anext(pieces, b"")  # raises what would change the status
            return streamed(sent(first, pieces, compressor), self._typed())
        pieces = self._document()
        first, more = await self._first(pieces)
        if more:
            return streamed(sent(first, pieces, compressor), self._typed())
        body = compressor.end(first) if compressor is not None else first
        return Reply(body, raw_headers=self._typed())

    async def _first(self, pieces: AsyncIterator[bytes]) -> tuple[bytes, bool]:
        """Returns the first part of the response, and whether there may be more.

        For HTTP/1.0, which has no chunked coding, that is all of it. Raises Overloaded.
        """
        parts: list[bytes] = []
        size = 0
        whole = self.work.call.scope["http_version"] == "1.0"
        async for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if whole:
                self.hold.grow(len(piece))
            elif size > _SHORT:
                return b"".join(parts), True
        return b"".join(parts), False

    async def _document(self) -> AsyncGenerator[bytes, None]:
        """Yields the chunks of one document with all results, as they arrive.

        Raises what ends the response (FAILURES): for the first statement, or within a result.
        """
        begin, failed = self.format.begin(len(self.statements)), False
        for id, statement in enumerate(self.statements):
            before = begin if id == 0 else self.format.between()
            if failed:
                yield before + self.format.encoded(self._not_executed(id, statement))
                continue
            begun = False
            try:
                async for piece, error in self._result(id, statement):
                    yield piece if begun else before + piece
                    begun, failed = True, failed or bool(error)
            except FAILURES as failure:
                if begun or id == 0:
                    raise
                failed = True
                yield before + self.format.encoded(self._failed(id, statement, failure))
        yield self.format.end() if self.statements else self.format.results([])

    async def _result(
        self, id: int, statement: Statement
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        """Yields the chunks of the encoded result of *statement*, the last one with its error."""
        if self.store.is_ours(statement) or not self._passes(statement):
            answer = await self._executed(id, statement)
            yield self.format.encoded(answer), answer.result.error
            return
        reply = await self.store.begun(statement, replace(self.asked, gzip=False), chunked=False)
        try:
            pieces = reply.pieces()
            first = await anext(pieces, b"")
            if isinstance(self.format, Csv) and not first.strip():
                answer = self.work.answer(id, await self._understood(statement))
                yield self.format.encoded(answer), answer.result.error
                return
            splice = self.format.splice(id)
            several = self.format.several(chunked=False)
            async for piece in after(first, pieces):
                if _several(several, statement, piece):
                    raise SeveralResults
                if ready := splice.piece(piece):
                    yield ready, ""
            rest, error = splice.end()
            self.work.answer(id, Result(statement, error=error))
            yield rest, error
        except SeveralStatements:
            raise SeveralResults from None
        except ValueError:
            raise Broken from None
        finally:
            reply.close()

    async def run(self) -> None:
        """Executes all statements, and discards the results. Raises what `answers` raises."""
        async for _ in self.answers():
            pass

    async def answers(self) -> AsyncGenerator[Answer, None]:
        """Yields the results as they arrive. Raises FAILURES only for the first statement."""
        failed = False
        for id, statement in enumerate(self.statements):
            if failed:
                yield self._not_executed(id, statement)
                continue
            try:
                async for answer in self._answered(id, statement):
                    failed = failed or bool(answer.result.error)
                    yield answer
            except FAILURES as error:
                if id == 0:
                    raise
                failed = True
                yield self._failed(id, statement, error)

    def _not_executed(self, id: int, statement: Statement) -> Answer:
        return self.work.answer(id, Result(statement, error="not executed"))

    def _failed(self, id: int, statement: Statement, error: Exception) -> Answer:
        return self.work.answer(id, Result(statement, error=str(error)))

    # ---- one statement

    async def _answered(self, id: int, statement: Statement) -> AsyncIterator[Answer]:
        """Yields the result of *statement*: several if the upstream sends it in chunks."""
        if self.store.is_ours(statement) or not self._passes(statement):
            yield await self._executed(id, statement)
        elif isinstance(self.format, Json) and not self.asked.pretty:
            async for answer in self._chunks(id, statement):
                yield answer
        else:
            held, parts, found = self.hold.part(), list[bytes](), ""
            try:
                async for piece, error in self._result(id, statement):
                    held.grow(len(piece))
                    parts.append(piece)
                    found = error
                encoded = b"".join(parts)
                parts.clear()
                yield Answer(id, Result(statement, error=found), encoded=encoded)
            finally:
                held.release()

    async def _executed(self, id: int, statement: Statement) -> Answer:
        return await (self._here if self.store.is_ours(statement) else self._there)(id, statement)

    async def _here(self, id: int, statement: Statement) -> Answer:
        if self.unlisted is not None and isinstance(statement, ShowDatabases):
            raise self.unlisted  # the list would lack the upstream's databases
        work, principal = self.work, self.principal
        if principal.user is None and id > 0:
            # The client has created the first administrator in the previous statement.
            principal = replace(principal, trusted=True)
        engine, address = work.executor.engine, work.call.origin

        def execute() -> Result:
            (result,) = engine.execute((statement,), principal, work.database, address)
            return result

        return work.answer(id, await work.run(execute))

    async def _there(self, id: int, statement: Statement) -> Answer:
        """Executes *statement* upstream, and parses its result.

        For writes, for results that are filtered for the user, and for stores without InfluxQL.
        """
        forwarded = not reads(statement) and not isinstance(
            statement, CreateDatabase | DropDatabase
        )
        if forwarded:
            await self.work.record_forwarded(statement)
        try:
            result = await self._understood(statement)
        except FAILURES as error:
            if forwarded and id == 0:  # `Work.answer` records the error of a later statement
                self.work.record_failed(statement, str(error))
            raise
        if isinstance(statement, DropDatabase):
            for other in self.others:
                if not result.error:
                    result = await other.result(statement, self.asked)
        if isinstance(statement, CreateDatabase | DropDatabase) and not result.error:
            return await self._here(id, statement)
        if isinstance(statement, CreateSubscription):
            result = replace(result, error=statement.redacted(result.error))
        user = self.principal.user
        if self._filtered(statement) and user is not None:
            # In a thread, because the filter parses other users' statements, which may be long.
            parse = self.work.executor.engine.parse
            result = await self.work.run(partial(visible, result, user, parse))
        return self.work.answer(id, result)

    async def _understood(self, statement: Statement) -> Result:
        held = self.hold.part()
        try:
            return await self.store.result(statement, self.asked, held.grow)
        finally:
            held.release()

    async def _chunks(self, id: int, statement: Statement) -> AsyncIterator[Answer]:
        """Yields the result of a read-only *statement*, in the upstream's chunks."""
        reply = await self.store.begun(statement, replace(self.asked, gzip=False), chunked=True)
        several, held = self.format.several(chunked=True), self.hold.part()
        try:
            async for line in lines(reply.pieces(), held):
                if several(line):
                    raise SeveralResults
                yield self._fragment(id, statement, line)
        finally:
            held.release()
            reply.close()

    def _fragment(self, id: int, statement: Statement, document: bytes) -> Answer:
        try:
            encoded, error = self.format.fragment(document, id)
        except ValueError:
            raise Broken from None
        answer = self.work.answer(id, Result(statement, error=error))
        return replace(answer, encoded=encoded)

    def _filtered(self, statement: Statement) -> bool:
        """Returns whether InfluxDB's result would contain statements of other users."""
        return not self.principal.unrestricted and isinstance(
            statement, ShowQueries | ShowContinuousQueries
        )

    # ---- the answer as a whole

    def _streams(self, statement: Statement) -> bool:
        """Returns whether the upstream's response to *statement* can be streamed to the client."""
        return not self.store.is_ours(statement) and self._passes(statement)

    def _passes(self, statement: Statement) -> bool:
        """Returns whether the client may receive the upstream's result unchanged."""
        readable = self.store.speaks_influxql and reads(statement)
        return readable and not self._filtered(statement)

    async def _streamed(self, statement: Statement) -> Response:
        """Returns the response to a query of one statement, relayed as it arrives."""
        # CSV and MessagePack are inspected, so the upstream must not compress them.
        plain = self.asked if isinstance(self.format, Json) else replace(self.asked, gzip=False)
        reply = await self.store.begun(statement, plain, chunked=self.chunked)
        try:
            rest = self._single(statement, reply)
            first = await anext(rest, b"")
            while isinstance(self.format, MessagePack) and len(first) < len(_ERROR_HEAD):
                if not (more := await anext(rest, b"")):
                    break
                first += more
            if _lacks(self.format, first):
                reply.close()
                answer = self.work.answer(0, await self._understood(statement))
                return self._response(self.format.results([answer]))
        except BaseException:
            reply.close()
            raise
        self.work.answer(0, Result(statement))  # only counted: errors in the body are not read
        headers = [(b"content-type", self.format.media_type.encode())]
        for name, value in reply.headers:
            if name.lower() in (b"content-encoding", b"content-length"):
                headers.append((name.lower(), value))
        if plain is not self.asked and self.asked.gzip:
            headers = [headers[0], (b"content-encoding", b"gzip")]
            return Relay(reply, headers, sent(first, rest, Compressor()))
        return Relay(reply, headers, after(first, rest))

    async def _single(self, statement: Statement, reply: Incoming) -> AsyncGenerator[bytes, None]:
        """Yields the body of *reply* as it arrives.

        Raises SeveralResults before a part with the result of another statement.
        """
        several = self.format.several(chunked=self.chunked)
        unpacker = Unpacker(0) if reply.header("Content-Encoding") == "gzip" else None
        async for part in reply.pieces():
            try:
                plain = unpacker.pieces(part) if unpacker is not None else (part,)
                extra = any(_several(several, statement, piece) for piece in plain)
            except BadRequest:
                raise Broken from None
            if extra:
                raise SeveralResults
            yield part

    def _response(self, content: bytes) -> Reply:
        body = Compressor().end(content) if self.asked.gzip else content
        return Reply(body, raw_headers=self._typed())

    async def _documents(self) -> AsyncGenerator[bytes, None]:
        async for answer in self.answers():
            yield self.format.results([answer])

    def _typed(self) -> Fields:
        return typed(self.format.media_type, gzip=self.asked.gzip)


def _several(several: Callable[[bytes], bool], statement: Statement, piece: bytes) -> bool:
    # Only these return several kinds of tables, which CSV separates in the way of statements.
    return several(piece) and not isinstance(statement, ShowStats | ShowDiagnostics)


def _lacks(format: Format, first: bytes) -> bool:
    """Returns whether a response that starts with *first* lacks an error or its statement's index.

    InfluxDB drops errors in CSV, and the index of their statement in MessagePack.
    """
    if isinstance(format, Csv):
        return not first.strip()
    return isinstance(format, MessagePack) and first.startswith(_ERROR_HEAD)
