"""/query: InfluxQL in, results out."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

from starlette.responses import Response, StreamingResponse

from headgate_engine import NotAuthorized, Principal, Result, changes
from headgate_grammar import ShowGrants, Statement
from headgate_server.call import Call
from headgate_server.compression import Compressor, takes_gzip
from headgate_server.form import Form, form
from headgate_server.formats import Answer, Format
from headgate_server.logs import printed
from headgate_server.parameters import parameters
from headgate_server.refusals import BadRequest, TooLarge
from headgate_server.service import Service
from headgate_server.stream import stream
from headgate_server.text import readable

# So many statements may be executed between two other requests.
_FEW = 4


async def query(call: Call, service: Service, format: Format) -> Response:
    """Authenticates, parses, authorizes all, executes; a statement's error is in its result.

    With `async=true` it answers when all are authorized; with `chunked=true` each statement's
    answer is a document of its own, sent when it is there.
    """
    principal = await service.login(call)
    most, query_most = service.settings.max_body_size, service.settings.max_query_size
    sent = await form(call, call.url_pairs, most, query_most, service.run)
    work = _Work(
        call,
        service,
        principal,
        text=_text(sent, query_most),
        params=sent.fields.get("params", ""),
        database=readable(sent.fields.get("db", "")),
    )
    call.note.database = work.database
    if sent.fields.get("async") == "true":
        service.detach(await service.run(work.answers), call.note)
        return Response(status_code=204, headers={"Content-Type": format.media_type})
    # To HTTP/1.0 nothing can be sent in pieces.
    if sent.fields.get("chunked") == "true" and call.scope["http_version"] != "1.0":
        return await _chunked(work, format)
    return await _whole(work, format)


@dataclass(frozen=True, slots=True)
class _Work:
    """One query, and for whom it is."""

    call: Call
    service: Service
    principal: Principal
    text: str = field(repr=False)
    params: str = field(repr=False)
    database: str

    def answers(self) -> Iterator[Answer]:
        """Parses and authorizes at once, executes as the answers are taken.

        Raises BadRequest, ParseError, AccessDenied, AuthenticationFailed.
        """
        engine = self.service.engine
        statements = engine.parse(self.text, parameters(readable(self.params)))
        self.call.note.statements = printed(statements)
        # The body may have taken its time: what counts is who he is now.
        now = engine.renew(self.principal)
        try:
            engine.authorize(now, statements, self.database)
        except NotAuthorized as error:
            self._record(error.statement, f"requires {error.need}")
            raise
        results = engine.execute(statements, now, self.database, self.call.address)
        return (self._answer(id, result) for id, result in enumerate(results))

    def _answer(self, id: int, result: Result) -> Answer:
        self.service.metrics.statement(result.statement, failed=bool(result.error))
        note = self.call.note
        if result.error and not note.error:  # those behind it are only `not executed`
            note.error = result.error
            if changes(result.statement):
                self._record(str(result.statement), result.error)
        if self.call.method == "GET" and not result.error and changes(result.statement):
            return Answer(id, result, _deprecated(result.statement))
        return Answer(id, result)

    def _record(self, statement: str, outcome: str) -> None:
        actor, address = self.principal.name, self.call.address
        self.service.recorder.refused(actor, address, statement, outcome)

    def quick(self) -> bool:
        """Whether it is done sooner than a thread is woken."""
        if self.params:
            return False
        known = self.service.engine.parse.known(self.text)
        self.service.metrics.lookup("statement", known is not None)
        return known is not None and len(known) <= _FEW and all(map(_is_quick, known))


async def _whole(work: _Work, format: Format) -> Response:
    gzip = takes_gzip(work.call.headers.get("accept-encoding", ""))

    def body() -> bytes:
        plain = format.results(list(work.answers()))
        return Compressor().end(plain) if gzip else plain

    content = body() if work.quick() else await work.service.run(body)
    return Response(content, headers=_headers(format, gzip=gzip))


async def _chunked(work: _Work, format: Format) -> Response:
    gzip = takes_gzip(work.call.headers.get("accept-encoding", ""))

    def documents() -> Iterator[bytes]:
        compressor = Compressor() if gzip else None
        for answer in work.answers():
            document = format.results([answer])
            yield compressor.piece(document) if compressor is not None else document
        if compressor is not None:
            yield compressor.end()

    pieces = stream(work.service, documents)
    # With the first document it is certain that the query is not refused.
    first = await anext(pieces, b"")
    return StreamingResponse(_after(first, pieces), headers=_headers(format, gzip=gzip))


async def _after(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for piece in rest:
        yield piece


def _headers(format: Format, *, gzip: bool) -> dict[str, str]:
    headers = {"Content-Type": format.media_type}
    return headers | {"Content-Encoding": "gzip"} if gzip else headers


def _is_quick(statement: Statement) -> bool:
    """An indexed read."""
    return isinstance(statement, ShowGrants)


def _text(sent: Form, most: int) -> str:
    """The parameter q, or else the uploaded file. Raises BadRequest; TooLarge if this or `params`
    has more than *most* characters (0: no limit).
    """
    given = (sent.fields.get("q", ""), sent.fields.get("params", ""), sent.file or "")
    if most and any(len(text) > most for text in given):
        raise TooLarge
    text = readable(sent.fields.get("q", "")).strip()
    if text:
        return text
    if sent.file is None:
        raise BadRequest('missing required parameter "q"')
    return readable(sent.file)


def _deprecated(statement: Statement) -> str:
    return (
        f"deprecated use of '{statement}' in a read only context, please use a POST request instead"
    )
