"""Reads a request's parameters by the rules of Go's FormValue, which InfluxDB uses."""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers as MultipartHeaders
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from headgate_server.http.errors import BadRequest, TooLarge
from headgate_server.http.go_text import decode_utf8, go_trim, replace_invalid
from headgate_server.http.header_fields import Headers
from headgate_server.http.request import Request
from headgate_server.http.urlencoded import Pairs, check_pair_count, parse_urlencoded

Run = Callable[[Callable[[], Pairs]], Awaitable[Pairs]]
FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"
_MAX_INLINE_BYTES = 1 << 14
_MULTIPART_OVERHEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Form:
    """A request's parameters, and the text of the file that was uploaded as `q`, or None."""

    fields: Pairs = field(repr=False)  # a statement may hold a password
    file: str | None = field(default=None, repr=False)

    def query_text(self, max_characters: int) -> str:
        """Returns the text of the InfluxQL query: the parameter `q`, or else the uploaded file.

        Raises BadRequest without `q` and without a file. Raises TooLarge if `q`, `params` or the
        file has more than *max_characters* characters (0: no limit).
        """
        given = (self.fields.get("q", ""), self.fields.get("params", ""), self.file or "")
        if max_characters and max(map(len, given)) > max_characters:
            raise TooLarge
        text = go_trim(replace_invalid(self.fields.get("q", "")))
        if text:
            return text
        if self.file is None:
            raise BadRequest('missing required parameter "q"')
        return replace_invalid(self.file)


async def read_form(call: Request, url_parameters: Pairs, query_limit: int, run: Run) -> Form:
    """Returns the parameters of *call*: *url_parameters*, and the parameters in the body.

    *url_parameters* are the parameters in the URL. If a name occurs twice, a POST's urlencoded body
    takes precedence over the URL. The URL takes precedence over multipart fields. *run* runs the
    decoding of a long body in a thread.

    Raises TooLarge for an urlencoded body of more than *query_limit* bytes (0: no limit). A
    multipart body may have twice *query_limit* plus 64 KiB. Raises BadRequest for too many
    parameters in an urlencoded body.
    """
    if call.method != "POST":
        return Form(url_parameters)
    match media := media_type(call.headers.get("content-type", "")):
        case _ if media == FORM_MEDIA_TYPE:
            encoded = b"".join([part async for part in read_body(call, query_limit)])
            check_pair_count(encoded)
            if len(encoded) <= _MAX_INLINE_BYTES:
                return Form(url_parameters | parse_urlencoded(encoded))
            return Form(url_parameters | await run(partial(parse_urlencoded, encoded)))
        case "multipart/form-data":
            # All fields stay in memory. A longer body has a query that is too long, or unused
            # fields.
            longest = 2 * query_limit + _MULTIPART_OVERHEAD_BYTES if query_limit else 0
            return await _multipart(call, longest, url_parameters)
    return Form(url_parameters)


def media_type(content_type: str) -> str:
    """Returns type and subtype of the header `Content-Type`, in lower case, without parameters."""
    # RFC 9110, section 5.6.3: white space is blank and tab. Python's strip() removes U+00A0, too.
    return content_type.partition(";")[0].strip(" \t").lower()


async def read_body(call: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Yields the parts of *call*'s body. Raises TooLarge beyond *limit* bytes (0: no limit)."""
    declared = call.headers.get("content-length", "")
    if limit and declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise TooLarge
    size = 0
    async for part in call.stream():
        size += len(part)
        if limit and size > limit:
            raise TooLarge
        yield part


def _without_charset(headers: Headers) -> MultipartHeaders:
    """Returns the field Content-Type of *headers*, without the charset that the client chose.

    A client could choose a charset that Python decodes very slowly: some need a minute for a few
    hundred kilobytes.
    """
    kind, parameters = parse_options_header(headers.get("content-type"))
    boundary = parameters.get(b"boundary", b"").decode("latin-1")
    return MultipartHeaders({"content-type": f'{kind.decode("latin-1")}; boundary="{boundary}"'})


async def _multipart(call: Request, limit: int, url: Pairs) -> Form:
    parser = MultiPartParser(
        _without_charset(call.headers), read_body(call, limit), max_part_size=limit or sys.maxsize
    )
    try:
        parts = await parser.parse()
    except (MultiPartException, UnicodeError, LookupError):
        # Go's FormValue ignores a body that it cannot read.
        return Form(url)
    fields: Pairs = {}
    file: str | None = None
    try:
        for name, value in parts.multi_items():
            if not isinstance(value, UploadFile):
                fields.setdefault(name, value)
            elif name == "q" and file is None:
                file = decode_utf8(await value.read())
    finally:
        await parts.close()
    return Form(fields | url, file)
