"""Filters the headers that a client sends to an upstream store, and the headers that come back.

Hop-by-hop headers (RFC 9110, 7.6.1) are not forwarded. Identity headers, such as X-Scope-OrgID, are
set by Headgate only. Identity headers of a client are removed in every spelling, because some
servers treat `_` and `.` as `-`.
"""

from collections.abc import Sequence
from functools import lru_cache

from headgate_server.http.request import Request

USER_HEADER, TENANT_HEADER = "X-Auth-User", "X-Scope-OrgID"
DATABASE_HEADER, QUERY_HEADER = "X-Auth-Database", "X-Auth-Query"
IDENTITY_HEADERS = (USER_HEADER, DATABASE_HEADER, QUERY_HEADER, TENANT_HEADER)

_HOP_BY_HOP_NAMES = frozenset(
    "connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer"
    " transfer-encoding upgrade".split()
)
# Content-Length is set anew. The other headers are meant for Headgate, or could change the host,
# path or method that the store assumes.
_REMOVED_REQUEST_NAMES = _HOP_BY_HOP_NAMES | frozenset(
    "host content-length expect authorization cookie forwarded x-forwarded-for x-forwarded-host"
    " x-forwarded-proto x-forwarded-port x-forwarded-prefix x-real-ip x-original-uri"
    " x-original-url x-original-method x-rewrite-url x-http-method-override request-id"
    " x-request-id".split()
)
_REMOVED_RESPONSE_NAMES = frozenset(
    name.encode()
    for name in (
        *_HOP_BY_HOP_NAMES,
        *"date server set-cookie www-authenticate request-id x-request-id".split(),
    )
)


def _normalize_name(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@lru_cache(64)
def _normalized_names(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(_normalize_name, names))


_IDENTITY_NAMES = _normalized_names(IDENTITY_HEADERS)


@lru_cache(1024)
def _request_name(raw_name: bytes) -> str:
    """Returns the name of a client's header, or "" if the header must not be forwarded."""
    name = raw_name.decode("latin-1")
    return "" if _normalize_name(name) in _REMOVED_REQUEST_NAMES | _IDENTITY_NAMES else name


@lru_cache(256)
def _connection_options(values: tuple[bytes, ...]) -> frozenset[bytes]:
    """Returns the header names listed in `Connection`: such headers are not forwarded.

    They are in lower case.
    """
    return frozenset(token.strip().lower() for value in values for token in value.split(b","))


def upstream_headers(
    request: Request, own_headers: tuple[str, ...], identity: dict[str, str]
) -> list[tuple[str, str]]:
    """Returns the headers of *request* that an upstream store receives, followed by *identity*.

    *identity* are the headers by which Headgate names the user and the database. Headers named in
    *own_headers* are removed: see `Mount.own_headers`.
    """
    key = ("forwarded", own_headers)
    forwarded: list[tuple[str, str]] | None = request.headers.memo.get(key)
    if forwarded is None:
        forwarded = _forwarded_headers(request.headers.fields, _normalized_names(own_headers))
        request.headers.memo[key] = forwarded
    own = (("X-Forwarded-For", request.address), ("X-Request-Id", request.log.id))
    return [*forwarded, *own, *identity.items()]


def _forwarded_headers(
    fields: Sequence[tuple[bytes, bytes]], own: frozenset[str]
) -> list[tuple[str, str]]:
    """Returns those of a client's header *fields* that are forwarded: none of *own*."""
    hop_by_hop = _connection_options(
        tuple([value for name, value in fields if name == b"connection"])
    )
    forwarded: list[tuple[str, str]] = []
    for raw_name, raw_value in fields:
        name = _request_name(raw_name)
        if not name or raw_name in hop_by_hop or (own and _normalize_name(name) in own):
            continue
        try:
            forwarded.append((name, raw_value.decode()))
        except UnicodeDecodeError:
            continue  # a value that is invalid UTF-8 is ambiguous
    return forwarded


def client_headers(headers: Sequence[tuple[bytes, bytes]], mount: str) -> list[tuple[bytes, bytes]]:
    """Returns those of a store's response *headers* that are forwarded to the client.

    Names are in lower case. A `Location` is kept only if it is a path. *mount*, the path prefix by
    which clients select the store, is put before that path.
    """
    named = tuple([value for name, value in headers if name == b"connection"])
    hop_by_hop = _connection_options(named) if named else ()
    forwarded: list[tuple[bytes, bytes]] = []
    for field in headers:
        name, value = field
        if name in _REMOVED_RESPONSE_NAMES or name in hop_by_hop or name.startswith(b"x-influxdb"):
            continue
        if name == b"location":
            if not value.startswith(b"/") or value.startswith((b"//", b"/\\")):
                continue
            if any(byte <= 0x20 or byte >= 0x7F for byte in value):
                continue  # browsers remove some of these characters, which changes the target
            field = name, mount.encode() + value
        forwarded.append(field)
    return forwarded
