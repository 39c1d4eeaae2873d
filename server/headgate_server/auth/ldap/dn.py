"""Distinguished names in the text form of RFC 4514: escaping and comparison."""

import re
from collections.abc import Iterator

# RFC 4514, section 3: the short names that stand for these attribute types.
_SHORT_NAMES = {
    "2.5.4.3": "cn",
    "2.5.4.7": "l",
    "2.5.4.8": "st",
    "2.5.4.10": "o",
    "2.5.4.11": "ou",
    "2.5.4.6": "c",
    "2.5.4.9": "street",
    "0.9.2342.19200300.100.1.25": "dc",
    "0.9.2342.19200300.100.1.1": "uid",
}
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*")
_HEX_VALUE = re.compile(r"#(?:[0-9A-Fa-f]{2})+")
_HEX_PAIR = re.compile(r"[0-9A-Fa-f]{2}")
_ESCAPED = frozenset('"+,;<>\\')
_SPECIAL = _ESCAPED | frozenset(" #=")


class InvalidDN(ValueError):
    """The text is no distinguished name."""

    def __init__(self) -> None:
        super().__init__("expected a distinguished name such as cn=admins,dc=example,dc=org")


def escaped_value(value: str) -> str:
    """Returns *value* as the value of an attribute in a distinguished name.

    RFC 4514, section 2.4.
    """
    last = len(value) - 1
    return "".join(_escaped(sign, place, last) for place, sign in enumerate(value))


def _escaped(sign: str, place: int, last: int) -> str:
    """Returns *sign*, which is at *place* of 0 to *last* in a value, escaped if necessary."""
    if sign == "\0":
        return "\\00"
    at_end = (sign == " " and place in (0, last)) or (sign == "#" and place == 0)
    return f"\\{sign}" if at_end or sign in _ESCAPED else sign


def normalized_dn(text: str) -> str:
    """Returns the form of the distinguished name *text* that is the same for all its spellings.

    Case, blanks around parts, repeated blanks, the way of escaping, and the order of the attributes
    of one part do not count. Raises InvalidDN.
    """
    if not text.strip(" "):
        return ""
    parts: list[list[str]] = [[]]
    for kind, value, separator in _attributes(text):
        kind = kind.lower()
        kind = _SHORT_NAMES.get(kind, kind)
        parts[-1].append(f"{kind}={value}")
        if separator in (",", ";"):
            parts.append([])
    return ",".join("+".join(sorted(part)) for part in parts)


def comparable_dn(text: str) -> str:
    """Returns `normalized_dn` of *text*; a text that is no distinguished name in lower case.

    Some directories list groups by their names alone.
    """
    try:
        return normalized_dn(text)
    except InvalidDN:
        return text.strip().casefold()


def _attributes(text: str) -> Iterator[tuple[str, str, str]]:
    """Yields type, normalized value and following separator of each attribute in *text*.

    The separator is `,`, `;` or `+`, and "" at the end. RFC 2253 has `;`, which RFC 4514 lacks.
    """
    place = 0
    while True:
        place = _after_blanks(text, place)
        if text[place : place + 4].lower() == "oid.":  # RFC 2253, section 4
            place += 4
        kind = _TYPE.match(text, place)
        if kind is None:
            raise InvalidDN
        place = _after_blanks(text, kind.end())
        if text[place : place + 1] != "=":
            raise InvalidDN
        place = _after_blanks(text, place + 1)
        if text[place : place + 1] == "#":
            found = _HEX_VALUE.match(text, place)
            if found is None:
                raise InvalidDN
            value, place = found[0].lower(), _after_blanks(text, found.end())
        else:
            value, place = _value(text, place)
        separator = text[place : place + 1]
        if separator not in ("", ",", ";", "+"):
            raise InvalidDN
        yield kind[0], value, separator
        if not separator:
            return
        place += 1


def _after_blanks(text: str, place: int) -> int:
    while text[place : place + 1] == " ":
        place += 1
    return place


def _value(text: str, place: int) -> tuple[str, int]:
    """Returns the value that begins at *place* in *text*, normalized, and the place after it."""
    raw = bytearray()
    quoted = text[place : place + 1] == '"'  # RFC 2253, section 4
    place += quoted
    while place < len(text):
        sign = text[place]
        if sign == "\\":
            if pair := _HEX_PAIR.match(text, place + 1):
                raw.append(int(pair[0], 16))
                place += 3
                continue
            if text[place + 1 : place + 2] not in _SPECIAL or place + 1 == len(text):
                raise InvalidDN
            raw += text[place + 1].encode()
            place += 2
            continue
        if quoted and sign == '"':
            place = _after_blanks(text, place + 1)
            return _normalized_value(raw), place
        if not quoted and sign in ",;+":
            break
        if not quoted and (sign in '"<>' or sign == "\0"):
            raise InvalidDN
        try:
            raw += sign.encode()
        except UnicodeEncodeError:
            raise InvalidDN from None
        place += 1
    if quoted:
        raise InvalidDN
    return _normalized_value(raw), place


def _normalized_value(raw: bytes | bytearray) -> str:
    """Returns *raw*, an unescaped value, in the form for comparison."""
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        raise InvalidDN from None
    # As the matching rule caseIgnoreMatch of RFC 4518, section 2.6.1, treats blanks.
    words = [word for word in value.split(" ") if word]
    return escaped_value(" ".join(words).casefold())
