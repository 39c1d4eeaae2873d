"""A query over a store behind Headgate: some statements are answered here, the others there.

They run one after the other and stop at the first error, as in one server.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from headgate_engine import Principal, Result
from headgate_grammar import (
    CreateDatabase,
    DropDatabase,
    Privilege,
    ShowContinuousQueries,
    ShowDatabases,
    ShowQueries,
    Statement,
)
from headgate_server.compression import Compressor
from headgate_server.failures import Answered, Broken, UpstreamError
from headgate_server.formats import Answer, Csv, Format, Json, MessagePack
from headgate_server.gateway.catalogue import Catalogue
from headgate_server.gateway.influx import LARGEST, Asked, InfluxStore, lines, reads
from headgate_server.gateway.relay import Relay
from headgate_server.logs import complain
from headgate_server.refusals import told
from headgate_server.reply import Fields, Reply, Response, streamed, typed

if TYPE_CHECKING:  # it knows the service, which knows us
    from headgate_server.work import Work

_FAILURES = (UpstreamError, Answered)
# An error's head in MessagePack, which lacks the number of its statement.
_ERROR_HEAD = 64


@dataclass(slots=True)
class Forwarding:
    """*work* over *store*, in *format*."""

    work: "Work"
    store: InfluxStore
    catalogue: Catalogue
    format: Format
    asked: Asked
    others: Sequence[InfluxStore] = ()  # that lose a database, too, when it is dropped
    chunked: bool = False
    statements: Sequence[Statement] = ()
    principal: Principal = field(init=False)
    unlisted: Exception | None = None  # why the databases upstream are not known

    async def begin(self) -> None:
        """Parses and authorizes. Raises BadRequest, ParseError, AccessDenied,
        AuthenticationFailed.
        """
        work = self.work
        known = work.soon()
        # Both in a thread, or neither: what is known is authorized in no time.
        self.statements = known if known is not None else await work.service.run(work.parsed)
        work.count()
        try:
            await self.catalogue.meant(work.principal, self.statements, work.database)
        except _FAILURES as error:
            # Statements that need no store are answered without it.
            self.unlisted = error
            complain("databases upstream cannot be listed", error=told(error))
        authorized = work.authorized
        self.principal = authorized() if known else await work.service.run(authorized)

    async def response(self) -> Response:
        """The answer to the request. Raises Answered, UpstreamError."""
        if len(self.statements) == 1 and self._streams(self.statements[0]):
            return await self._streamed(self.statements[0])
        if not self.chunked:
            return self._response(self.format.results(await self._together()))
        pieces = self._documents()
        first = await anext(pieces, b"")  # with it, it is certain that nothing is refused
        return streamed(_after(first, pieces), self._typed())

    async def _together(self) -> list[Answer]:
        """All answers; of those that are too large to be held together, one that says so."""
        answers: list[Answer] = []
        size = 0
        async for answer in self.answers():
            size += len(answer.encoded or b"")
            if size > LARGEST:
                error = f"answers of more than {LARGEST} bytes: ask one by one, or chunked"
                answers.append(
                    self.work.answer(answer.id, Result(answer.result.statement, error=error))
                )
                rest = self.statements[answer.id + 1 :]
                for id, statement in enumerate(rest, answer.id + 1):
                    answers.append(self.work.answer(id, Result(statement, error="not executed")))
                return answers
            answers.append(answer)
        return answers

    async def run(self) -> None:
        """Executes all of it; nobody hears the answers. Raises Answered, UpstreamError."""
        async for _ in self.answers():
            pass

    async def answers(self) -> AsyncGenerator[Answer, None]:
        """As they come. Of the first statement it raises Answered, UpstreamError."""
        failed = False
        for id, statement in enumerate(self.statements):
            if failed:
                yield self.work.answer(id, Result(statement, error="not executed"))
                continue
            try:
                async for answer in self._executed(id, statement):
                    failed = failed or bool(answer.result.error)
                    yield answer
            except _FAILURES as error:
                if id == 0:
                    raise
                failed = True
                yield self.work.answer(id, Result(statement, error=str(error)))

    # ---- one statement

    async def _executed(self, id: int, statement: Statement) -> AsyncIterator[Answer]:
        if self.store.is_ours(statement):
            yield await self._here(id, statement)
        elif self._passes(statement):
            async for answer in self._encoded(id, statement):
                yield answer
        else:
            yield await self._there(id, statement)

    async def _here(self, id: int, statement: Statement) -> Answer:
        if self.unlisted is not None and isinstance(statement, ShowDatabases):
            raise self.unlisted  # the list would lack what is upstream
        work, who = self.work, self.principal
        if who.user is None and id > 0:
            who = replace(who, trusted=True)  # whoever made the first administrator before
        engine, address = work.service.engine, work.call.address

        def execute() -> Result:
            (result,) = engine.execute((statement,), who, work.database, address)
            return result

        return work.answer(id, await work.service.run(execute))

    async def _there(self, id: int, statement: Statement) -> Answer:
        """What changes something, or is small and not all for this user."""
        result = await self.store.result(statement, self.asked)
        if isinstance(statement, DropDatabase):
            for other in self.others:
                if not result.error:
                    result = await other.result(statement, self.asked)
        if isinstance(statement, CreateDatabase | DropDatabase) and not result.error:
            return await self._here(id, statement)
        if self._filtered(statement):
            result = self._of_his(result)
        return self.work.answer(id, result)

    async def _encoded(self, id: int, statement: Statement) -> AsyncIterator[Answer]:
        """What is read, as the upstream wrote it."""
        if self.chunked and isinstance(self.format, Json) and not self.asked.pretty:
            reply = await self.store.begun(statement, replace(self.asked, gzip=False), chunked=True)
            try:
                async for line in lines(reply.pieces()):
                    yield self._fragment(id, statement, line)
            finally:
                reply.close()
            return
        document = await self.store.whole(statement, self.asked, self.asked.media_type)
        if isinstance(self.format, Csv) and not document.strip():
            yield self.work.answer(id, await self.store.result(statement, self.asked))
        else:
            yield self._fragment(id, statement, document)

    def _fragment(self, id: int, statement: Statement, document: bytes) -> Answer:
        try:
            encoded, error = self.format.fragment(document, id)
        except ValueError:
            raise Broken from None
        answer = self.work.answer(id, Result(statement, error=error))
        return replace(answer, encoded=encoded)

    def _filtered(self, statement: Statement) -> bool:
        """Whether InfluxDB would show him of other databases, too."""
        return not self.principal.unrestricted and isinstance(
            statement, ShowQueries | ShowContinuousQueries
        )

    def _of_his(self, result: Result) -> Result:
        """The part about databases that he may read."""
        user = self.principal.user
        grants = user.grants if user is not None else {}
        his = {name for name, privilege in grants.items() if Privilege.READ in privilege}
        if isinstance(result.statement, ShowContinuousQueries):
            return replace(result, series=tuple(s for s in result.series if s.name in his))
        series = []
        for one in result.series:
            at = one.columns.index("database") if "database" in one.columns else None
            rows = [row for row in one.values if at is not None and row[at] in his]
            series.append(replace(one, values=rows))
        return replace(result, series=tuple(series))

    # ---- the answer as a whole

    def _streams(self, statement: Statement) -> bool:
        """Whether the upstream's answer to it can go out as it comes."""
        return not self.store.is_ours(statement) and self._passes(statement)

    def _passes(self, statement: Statement) -> bool:
        """Whether the upstream's answer to it is the client's as it is."""
        readable = self.store.speaks_influxql and reads(statement)
        return readable and not self._filtered(statement)

    async def _streamed(self, statement: Statement) -> Response:
        # Where it has to be looked into it comes as it is.
        plain = self.asked if isinstance(self.format, Json) else replace(self.asked, gzip=False)
        reply = await self.store.begun(statement, plain, chunked=self.chunked)
        rest = reply.pieces()
        try:
            first = await anext(rest, b"")
            if _lacks(self.format, first):
                reply.close()
                return self._response(self.format.results(await self._together()))
        except BaseException:
            reply.close()
            raise
        self.work.answer(0, Result(statement))  # counted; what it says is not looked at
        headers = [(b"content-type", self.format.media_type.encode())]
        for name, value in reply.headers:
            if name.lower() in (b"content-encoding", b"content-length"):
                headers.append((name.lower(), value))
        if plain is not self.asked and self.asked.gzip:
            headers = [headers[0], (b"content-encoding", b"gzip")]
            return Relay(reply, headers, _compressed(first, rest))
        return Relay(reply, headers, _after(first, rest))

    def _response(self, content: bytes) -> Reply:
        body = Compressor().end(content) if self.asked.gzip else content
        return Reply(body, raw_headers=self._typed())

    async def _documents(self) -> AsyncGenerator[bytes, None]:
        compressor = Compressor() if self.asked.gzip else None
        async for answer in self.answers():
            document = self.format.results([answer])
            yield compressor.piece(document) if compressor is not None else document
        if compressor is not None:
            yield compressor.end()

    def _typed(self) -> Fields:
        return typed(self.format.media_type, gzip=self.asked.gzip)


async def _compressed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    compressor = Compressor()
    yield compressor.piece(first)
    async for piece in rest:
        yield compressor.piece(piece)
    yield compressor.end()


def _lacks(format: Format, first: bytes) -> bool:
    """Whether an answer does not say what it should: InfluxDB loses errors in CSV, and the number
    of their statement in MessagePack.
    """
    if isinstance(format, Csv):
        return not first.strip()
    return isinstance(format, MessagePack) and b"\xa5error" in first[:_ERROR_HEAD]


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield first
    async for piece in rest:
        yield piece
