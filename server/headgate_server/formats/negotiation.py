"""Chooses the format of a response (JSON, CSV, MessagePack) by the header Accept.

The rules are those of InfluxDB 1.8.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from headgate_server.formats.base import ResultEncoder
from headgate_server.formats.csv import CsvEncoder
from headgate_server.formats.json import JsonEncoder
from headgate_server.formats.msgpack import MessagePackEncoder

# A media range selects the first of these types that it matches: `*/*` is JSON, `text/*` is CSV.
_OFFERED_TYPES = ("application/json", "application/csv", "text/csv", "application/x-msgpack")
_JSON = {pretty: JsonEncoder(pretty=pretty) for pretty in (False, True)}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MAX_ACCEPT_CHARACTERS = 1024  # characters; the rest of the header is ignored


def encoder_for(accept: str, *, pretty: bool) -> ResultEncoder:
    """Returns an encoder of the format that the header *accept* prefers.

    Returns a JSON encoder if *accept* names no supported format.
    """
    if not accept:
        return _JSON[pretty]
    match media_type(accept[:_MAX_ACCEPT_CHARACTERS]):
        case "application/x-msgpack":
            return MessagePackEncoder()
        case "application/json":
            return _JSON[pretty]
        case csv:
            return CsvEncoder(csv)


@lru_cache(256)
def media_type(accept: str) -> str:
    """Returns the media type, among the types that Headgate offers, that *accept* prefers.

    The media range with the highest `q` wins. Among ranges with the same `q`, the most exact range
    wins; among equally exact ranges, the first. Invalid ranges and ranges with `q=0` are ignored.
    """
    ranges = [range for part in accept.split(",") if (range := _range(part)) is not None]
    for _, _, matches in sorted(ranges, key=lambda range: range[:2], reverse=True):
        for offered in _OFFERED_TYPES:
            if matches(offered):
                return offered
    return _OFFERED_TYPES[0]


def _range(part: str) -> tuple[float, int, Callable[[str], bool]] | None:
    """Returns a media range's quality, its exactness and a function that matches media types.

    Returns None if the range is invalid or has `q=0`.
    """
    name, *parameters = part.split(";")
    kind, slash, sub = (word.strip(" \t").lower() for word in name.partition("/"))
    if kind == "*" and not slash:
        sub = "*"
    quality = _quality(parameters)
    if not kind or not sub or not quality > 0 or (kind == "*" and sub != "*"):
        return None
    if sub != "*":
        return quality, 2 + len(parameters), f"{kind}/{sub}".__eq__
    return (quality, 0, lambda _: True) if kind == "*" else (quality, 1, _in_family(kind))


def _in_family(kind: str) -> Callable[[str], bool]:
    return lambda offered: offered.startswith(kind + "/")


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip(" \t").lower() == "q":
            # float() accepts more than numbers: "1_0", and white space such as U+001C or U+00A0.
            number = value.strip(" \t")
            return float(number) if _NUMBER.fullmatch(number) else 0
    return 1
