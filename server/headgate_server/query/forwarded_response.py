"""Builds the response to a query that an upstream store executes.

A single result is relayed as it arrives. Several results are joined, in one document or streamed.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from headgate_engine import Result
from headgate_grammar import (
    Statement,
)
from headgate_server.formats import (
    CsvEncoder,
    JsonEncoder,
    MessagePackEncoder,
    ResultEncoder,
)
from headgate_server.http.errors import BadRequest
from headgate_server.http.gzip import Compressor, Decompressor, encode_body
from headgate_server.http.response import (
    ASGIResponse,
    RawHeaders,
    Response,
    content_headers,
    streaming_response,
)
from headgate_server.query.forwarding import ForwardedQuery, has_several_results
from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.errors import (
    UnexpectedResults,
    UpstreamProtocolError,
)
from headgate_server.upstream.relay import FORWARDING_ERRORS, Relay, encode_chunks, prepend

# Bytes. A longer response is streamed, without its length.
_MAX_BUFFERED_BYTES = 1 << 16
# Start of an error in InfluxDB's MessagePack, which lacks the index of its statement.
_MSGPACK_ERROR_PREFIX = b"\x81\xa7results\x91\x81\xa5error"


class ForwardedResponse:
    """Builds the response to *query*, which `ForwardedQuery.prepare` has authorized."""

    def __init__(self, query: ForwardedQuery) -> None:
        self._query = query
        self._encoder = query.encoder
        self._execution = query.execution
        self._options = query.options
        self._statements = query.statements

    async def build(self) -> ASGIResponse:
        """Executes the query, and returns the response, which may be streamed.

        Raises UpstreamRejected, UpstreamError, UnparseError, Overloaded.
        """
        # An HTTP/1.0 client would take a truncated response without a length for a complete one.
        in_pieces = self._execution.request.scope["http_version"] != "1.0"
        if (
            in_pieces
            and len(self._statements) == 1
            and self._query.is_streamable(self._statements[0])
        ):
            return await self._stream_response(self._statements[0])
        compressor = Compressor() if self._options.gzip else None
        if self._query.chunked:
            pieces = self._encode_documents()
            first = await anext(pieces, b"")  # raises what would change the status
            return streaming_response(
                encode_chunks(first, pieces, compressor), self._content_headers()
            )
        pieces = self._encode_document()
        first, more = await self._read_first(pieces)
        if more:
            return streaming_response(
                encode_chunks(first, pieces, compressor), self._content_headers()
            )
        body = compressor.finish(first) if compressor is not None else first
        return Response(body, raw_headers=self._content_headers())

    async def _read_first(self, pieces: AsyncIterator[bytes]) -> tuple[bytes, bool]:
        """Returns the first part of the response body, and whether more parts may follow.

        For HTTP/1.0, which has no chunked coding, the part is the whole body. Raises Overloaded if
        that body exceeds the memory budget.
        """
        parts: list[bytes] = []
        size = 0
        whole = self._execution.request.scope["http_version"] == "1.0"
        async for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if whole:
                self._query.reservation.grow(len(piece))
            elif size > _MAX_BUFFERED_BYTES:
                return b"".join(parts), True
        return b"".join(parts), False

    async def _encode_document(self) -> AsyncGenerator[bytes, None]:
        """Yields the chunks of one document with all results, as they arrive.

        Raises one of FORWARDING_ERRORS if the first statement fails, or if a result fails after a
        chunk of it was yielded. Any other such error becomes the result of its statement.
        """
        begin, failed = self._encoder.document_start(len(self._statements)), False
        for id, statement in enumerate(self._statements):
            before = begin if id == 0 else self._encoder.separator()
            if failed:
                yield before + self._encoder.encode_result(
                    self._query.not_executed_result(id, statement)
                )
                continue
            started = False
            try:
                async for chunk, error in self._query.encode_result(id, statement):
                    yield chunk if started else before + chunk
                    started, failed = True, failed or bool(error)
            except FORWARDING_ERRORS as failure:
                if started or id == 0:
                    raise
                failed = True
                yield before + self._encoder.encode_result(
                    self._query.error_result(id, statement, failure)
                )
        yield (
            self._encoder.document_end() if self._statements else self._encoder.encode_results([])
        )

    async def _stream_response(self, statement: Statement) -> ASGIResponse:
        """Returns the response to a query of one statement, relayed as it arrives."""
        # The start of CSV or MessagePack is inspected, so the upstream must not compress it.
        options = (
            self._options
            if isinstance(self._encoder, JsonEncoder)
            else replace(self._options, gzip=False)
        )
        response = await self._query.store.send_statement(
            statement, options, chunked=self._query.chunked
        )
        try:
            rest = self._checked_parts(statement, response)
            first = await anext(rest, b"")
            while isinstance(self._encoder, MessagePackEncoder) and len(first) < len(
                _MSGPACK_ERROR_PREFIX
            ):
                if not (more := await anext(rest, b"")):
                    break
                first += more
            if _is_incomplete(self._encoder, first):
                response.close()
                answer = self._execution.statement_result(
                    0, await self._query.fetch_result(statement)
                )
                return self._encode_response(self._encoder.encode_results([answer]))
        except BaseException:
            response.close()
            raise
        # Metrics count the statement as successful: the relayed body is not searched for errors.
        self._execution.statement_result(0, Result(statement))
        headers = [(b"content-type", self._encoder.media_type.encode())]
        for name, value in response.headers:
            if name.lower() in (b"content-encoding", b"content-length"):
                headers.append((name.lower(), value))
        if options is not self._options and self._options.gzip:
            headers = [headers[0], (b"content-encoding", b"gzip")]
            return Relay(response, headers, encode_chunks(first, rest, Compressor()))
        return Relay(response, headers, prepend(first, rest))

    async def _checked_parts(
        self, statement: Statement, response: UpstreamResponse
    ) -> AsyncGenerator[bytes, None]:
        """Yields the body of *response* as it arrives.

        Raises UnexpectedResults instead of yielding a part with the result of another statement.
        """
        several = self._encoder.multiple_statements_detector(chunked=self._query.chunked)
        unpacker = Decompressor(0) if response.header("Content-Encoding") == "gzip" else None
        async for part in response.iter_chunks():
            try:
                plain = unpacker.decompress(part) if unpacker is not None else (part,)
                extra = any(has_several_results(several, statement, piece) for piece in plain)
            except BadRequest:
                raise UpstreamProtocolError from None
            if extra:
                raise UnexpectedResults
            yield part

    def _encode_response(self, content: bytes) -> Response:
        body = encode_body(content, gzip=self._options.gzip)
        return Response(body, raw_headers=self._content_headers())

    async def _encode_documents(self) -> AsyncGenerator[bytes, None]:
        async for answer in self._query.results():
            yield self._encoder.encode_results([answer])

    def _content_headers(self) -> RawHeaders:
        return content_headers(self._encoder.media_type, gzip=self._options.gzip)


def _is_incomplete(encoder: ResultEncoder, first: bytes) -> bool:
    """Returns whether InfluxDB has omitted a part of the response that starts with *first*.

    In CSV, InfluxDB omits the error of a statement. In MessagePack, it omits the index of a
    statement that failed.
    """
    if isinstance(encoder, CsvEncoder):
        return not first.strip()
    return isinstance(encoder, MessagePackEncoder) and first.startswith(_MSGPACK_ERROR_PREFIX)
