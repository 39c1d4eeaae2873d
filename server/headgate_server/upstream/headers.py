"""Filters headers in both directions: hop-by-hop and identity headers are not forwarded.

RFC 9110, 7.6.1, defines hop-by-hop headers. Identity headers are removed in every spelling: some
servers treat `_` and `.` as `-`.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from headgate_server.http.request import Call

USER, TENANT = "X-Auth-User", "X-Scope-OrgID"
DATABASE, QUERY = "X-Auth-Database", "X-Auth-Query"
IDENTITY = (USER, DATABASE, QUERY, TENANT)

_HOPS = frozenset(
    "connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer"
    " transfer-encoding upgrade".split()
)
# The length is set anew. The others are about Headgate, or could redirect the next server.
_REQUEST_ENDS = _HOPS | frozenset(
    "host content-length expect authorization cookie forwarded x-forwarded-for x-forwarded-host"
    " x-forwarded-proto x-forwarded-port x-forwarded-prefix x-real-ip x-original-uri"
    " x-original-url x-original-method x-rewrite-url x-http-method-override request-id"
    " x-request-id".split()
)
_ANSWER_ENDS = _HOPS | frozenset(
    "date server set-cookie www-authenticate request-id x-request-id".split()
)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _own(names: Iterable[str]) -> frozenset[str]:
    return frozenset(map(_plain, names))


_IDENTITY = _own(IDENTITY)


@lru_cache(1024)
def _passing(raw_name: bytes) -> str:
    """Returns the name of a client's header that is forwarded, or "" for one that is removed."""
    name = raw_name.decode("latin-1")
    return "" if _plain(name) in _REQUEST_ENDS | _IDENTITY else name


@lru_cache(1024)
def _coming(raw_name: bytes) -> str:
    """Returns the name of a store's header in lower case, or "" for one that is removed."""
    name = raw_name.decode("latin-1").lower()
    return "" if name in _ANSWER_ENDS or name.startswith("x-influxdb") else name


def _named(values: Iterable[str]) -> set[str]:
    """Returns the names in `Connection` headers: they concern this connection only."""
    return {token.strip().lower() for value in values for token in value.split(",")}


def inward(call: Call, secret: Iterable[str], identity: dict[str, str]) -> list[tuple[str, str]]:
    """Returns the headers of *call* for a store, with *identity* in place of the client's own.

    *secret* contains the names of headers that hold tokens; they are removed.
    """
    secrets = _own(secret)
    hops = _named(call.headers.getlist("connection"))
    sent: list[tuple[str, str]] = []
    for raw_name, raw_value in call.scope["headers"]:
        name = _passing(raw_name)
        if not name or name in hops or (secrets and _plain(name) in secrets):
            continue
        try:
            sent.append((name, raw_value.decode()))
        except UnicodeDecodeError:
            continue  # a value that is invalid UTF-8 is ambiguous
    sent.append(("X-Forwarded-For", call.address))
    sent.append(("X-Request-Id", call.note.id))
    return [*sent, *identity.items()]


def outward(headers: Sequence[tuple[bytes, bytes]], mount: str) -> list[tuple[bytes, bytes]]:
    """Returns a store's *headers* for the client.

    A `Location` is kept only if it is a path, which is prefixed with *mount*.
    """
    hops = _named(v.decode("latin-1") for name, v in headers if name.lower() == b"connection")
    sent: list[tuple[bytes, bytes]] = []
    for raw_name, value in headers:
        name = _coming(raw_name)
        if not name or name in hops:
            continue
        if name == "location":
            if not value.startswith(b"/") or value.startswith((b"//", b"/\\")):
                continue
            if any(byte <= 0x20 or byte >= 0x7F for byte in value):
                continue  # browsers remove some of these characters, which changes the target
            value = mount.encode() + value
        sent.append((name.encode("latin-1"), value))
    return sent
