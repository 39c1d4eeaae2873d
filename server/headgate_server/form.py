"""Where a request's parameters stand, by the rules of Go's FormValue that InfluxDB goes by."""

import re
import sys
from binascii import a2b_qp
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from headgate_server.refusals import BadRequest, TooLarge
from headgate_server.text import lossless

Pairs = dict[str, str]
Run = Callable[[Callable[[], Pairs]], Awaitable[Pairs]]
_MOST_PAIRS = 1000
_SHORT = 1 << 14
_OVERHEAD = 1 << 16
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Form:
    """A request's parameters, and the text of the file uploaded as `q`, if there is one."""

    fields: Pairs = field(repr=False)  # a statement may hold a password
    file: str | None = field(default=None, repr=False)


def pairs(encoded: bytes) -> Pairs:
    """The first value of each name in an urlencoded text.

    A pair with a broken %-escape or a raw `;` is dropped, the others survive. Bytes that are no
    UTF-8 become surrogates.
    """
    found: Pairs = {}
    for name, value in decoded_pairs(encoded):
        found.setdefault(name, value)
    return found


def decoded_pairs(encoded: bytes) -> Iterator[tuple[str, str]]:
    """All of them, in order."""
    for pair in encoded.split(b"&"):
        if not pair or b";" in pair or _BROKEN_ESCAPE.search(pair):
            continue
        name, _, value = pair.partition(b"=")
        yield _decoded(name), _decoded(value)


def check_number(encoded: bytes) -> None:
    """Raises BadRequest if there are very many pairs in an urlencoded text."""
    if encoded.count(b"&") > _MOST_PAIRS:
        raise BadRequest(f"too many parameters: at most {_MOST_PAIRS}")


def _decoded(encoded: bytes) -> str:
    plain = encoded.replace(b"+", b" ")
    if b"%" not in plain:
        return lossless(plain)
    # Quoted-printable with another sign. urllib takes 80 bytes of memory for each escape.
    return lossless(a2b_qp(plain.replace(b"=", b"=3D").replace(b"%", b"=")))


async def form(request: Request, url: Pairs, limit: int, query_limit: int, run: Run) -> Form:
    """The parameters of *request*: a POST's urlencoded body before *url*, the URL's, before
    multipart fields.

    Raises TooLarge for a body of more than *limit* bytes, or an urlencoded one of more than
    *query_limit* (0: no limit; of multipart twice that), BadRequest for one of very many
    parameters. What is long is decoded by *run*, in a thread.
    """
    if request.method != "POST":
        return Form(url)
    match request.headers.get("content-type", "").partition(";")[0].strip().lower():
        case "application/x-www-form-urlencoded":
            least = min(filter(None, (limit, query_limit)), default=0)
            encoded = b"".join([part async for part in body(request, least)])
            check_number(encoded)
            if len(encoded) <= _SHORT:
                return Form(url | pairs(encoded))
            return Form(url | await run(partial(pairs, encoded)))
        case "multipart/form-data":
            # What is longer holds a query too long, or what nobody asked for, in memory all along.
            longest = 2 * query_limit + _OVERHEAD if query_limit else 0
            most = min(filter(None, (limit, longest)), default=0)
            return await _multipart(request, most, url)
    return Form(url)


async def body(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The parts of the body. Raises TooLarge as soon as there are more than *limit* bytes."""
    declared = request.headers.get("content-length", "")
    if limit and declared.isdigit() and int(declared) > limit:
        raise TooLarge
    size = 0
    async for part in request.stream():
        size += len(part)
        if limit and size > limit:
            raise TooLarge
        yield part


def _as_utf8(headers: Headers) -> Headers:
    """*headers* without the charset that a client names: Python has some that take a minute for a
    few hundred kilobytes.
    """
    kind, parameters = parse_options_header(headers.get("content-type"))
    boundary = parameters.get(b"boundary", b"").decode("latin-1")
    return Headers({"content-type": f'{kind.decode("latin-1")}; boundary="{boundary}"'})


async def _multipart(request: Request, limit: int, url: Pairs) -> Form:
    parser = MultiPartParser(
        _as_utf8(request.headers), body(request, limit), max_part_size=limit or sys.maxsize
    )
    try:
        parts = await parser.parse()
    except (MultiPartException, UnicodeError, LookupError):
        # Go's FormValue passes over a body that it cannot read.
        return Form(url)
    fields: Pairs = {}
    file: str | None = None
    try:
        for name, value in parts.multi_items():
            if not isinstance(value, UploadFile):
                fields.setdefault(name, value)
            elif name == "q" and file is None:
                file = lossless(await value.read())
    finally:
        await parts.close()
    return Form(fields | url, file)
