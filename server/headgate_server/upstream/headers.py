"""Headers on their way through: what concerns one connection, or says who somebody is, ends here.

RFC 9110 section 7.6.1 has the former. Of the latter no other spelling gets through either: some
servers take `_` and `.` for `-`.
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
# The length is set anew, and the rest is about us, or means another server than the next one.
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
    """The name of a client's header that goes on; "" for one that ends here."""
    name = raw_name.decode("latin-1")
    return "" if _plain(name) in _REQUEST_ENDS | _IDENTITY else name


@lru_cache(1024)
def _coming(raw_name: bytes) -> str:
    """The same of a store's header, in small letters."""
    name = raw_name.decode("latin-1").lower()
    return "" if name in _ANSWER_ENDS or name.startswith("x-influxdb") else name


def _named(values: Iterable[str]) -> set[str]:
    """What `Connection` names: it is of this connection only."""
    return {token.strip().lower() for value in values for token in value.split(",")}


def inward(call: Call, secret: Iterable[str], identity: dict[str, str]) -> list[tuple[str, str]]:
    """The headers of *call* for a store, with *identity* in place of what it says of itself.

    *secret* are names of headers that hold tokens.
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
            continue  # nobody can say what it means
    sent.append(("X-Forwarded-For", call.address))
    sent.append(("X-Request-Id", call.note.id))
    return [*sent, *identity.items()]


def outward(headers: Sequence[tuple[bytes, bytes]], mount: str) -> list[tuple[bytes, bytes]]:
    """A store's headers for the client. Where it sends him elsewhere, only to its own paths."""
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
                continue  # a browser leaves some of them out
            value = mount.encode() + value
        sent.append((name.encode("latin-1"), value))
    return sent
