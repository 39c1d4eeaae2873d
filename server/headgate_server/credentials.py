"""What a request shows of who sends it. Reading only: whether it is true is login's business."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import ClassVar

from headgate_server.form import Pairs
from headgate_server.refusals import Unauthenticated
from headgate_server.text import lossless


@dataclass(frozen=True, slots=True)
class NamePassword:
    method: ClassVar = "password"
    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    method: ClassVar = "shared-secret"
    text: str = field(repr=False)


Credentials = NamePassword | Token


def credentials(url: Pairs, authorization: str) -> Credentials:
    """The credentials in the URL's `u` and `p` or else in the *authorization* header.

    The first that is there decides. Raises Unauthenticated if there is none, or an unreadable one.
    """
    if url.get("u") and url.get("p"):
        return NamePassword(url["u"], url["p"])
    words = authorization.strip(" \t").split(" ")
    if len(words) != 2:
        raise _unreadable()
    match words:
        case ["Bearer", token] if token:
            return Token(token)
        case ["Token", pair] if ":" in pair:
            name, _, password = lossless(pair.encode("latin-1")).partition(":")
        case [scheme, encoded] if scheme.lower() == "basic":
            name, password = _basic(encoded)
        case _:
            raise _unreadable()
    if not name:
        raise Unauthenticated("username required")
    return NamePassword(name, password)


def _unreadable() -> Unauthenticated:
    return Unauthenticated("unable to parse authentication credentials")


def _basic(encoded: str) -> tuple[str, str]:
    try:
        decoded = base64.b64decode(encoded.encode("latin-1"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _unreadable() from None
    name, colon, password = lossless(decoded).partition(":")
    if not colon:
        raise _unreadable()
    return name, password
