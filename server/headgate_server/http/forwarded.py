"""The header `Forwarded` (RFC 7239): one element for each proxy that passed the request on.

Pure functions.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PAIR = re.compile(rf"[ \t]*({_TOKEN})=({_TOKEN}|{_QUOTED})[ \t]*(?:;|\Z)")
_QUOTED_PAIR = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class ForwardedHop:
    """An element of `Forwarded`: *node* is the value of `for`, *proto* that of `proto` or "".

    *proto* is in lower case.
    """

    node: str
    proto: str


def reversed_hops(values: Sequence[str]) -> Iterator[ForwardedHop]:
    """Yields the elements of the header fields with *values*, the last one first.

    Stops before an element that is invalid or lacks `for`. The elements are found from the end:
    text of a client before an element of a proxy, such as an unpaired quote, has no effect on it.
    """
    text = ",".join(values)
    end = len(text)
    while end >= 0:
        start = _element_start(text, end)
        hop = _parsed(text[start:end])
        if hop is None:
            return
        yield hop
        end = start - 1


def _element_start(text: str, end: int) -> int:
    """Returns where the last element of *text* before *end* starts, or 0 if a quote is unpaired.

    The element starts after the last comma that is outside of quoted strings.
    """
    comma, position = end, end
    while True:
        if comma >= position:
            comma = text.rfind(",", 0, position)
        quote = text.rfind('"', max(comma, 0), position)
        if quote < 0:
            return comma + 1
        opening = text.rfind('"', 0, quote)
        while opening > 0 and _is_escaped(text, opening):
            opening = text.rfind('"', 0, opening)
        if opening < 0:
            return 0
        position = opening


def _is_escaped(text: str, position: int) -> bool:
    """Returns whether the character at *position* follows an odd number of backslashes."""
    before = position
    while before > 0 and text[before - 1] == "\\":
        before -= 1
    return (position - before) % 2 == 1


def _parsed(element: str) -> ForwardedHop | None:
    """Returns the hop that *element* describes, or None if it is invalid or lacks `for`."""
    pairs: dict[str, str] = {}
    position = 0
    while position < len(element):
        pair = _PAIR.match(element, position)
        name = pair[1].lower() if pair is not None else ""
        if pair is None or name in pairs:
            return None
        value = pair[2]
        pairs[name] = _QUOTED_PAIR.sub(r"\1", value[1:-1]) if value[:1] == '"' else value
        position = pair.end()
    return ForwardedHop(pairs["for"], pairs.get("proto", "").lower()) if "for" in pairs else None
