"""The paths that Headgate answers itself: their methods, and what forward authentication requires.

A request that is sent to Headgate itself is authenticated and authorized by the function that
answers its path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, lru_cache
from typing import Protocol


class Requirement(Enum):
    """What a request for a path requires."""

    OPEN = auto()  # nothing, or with `ping-auth-enabled` a login
    QUERY = auto()  # the privileges that its statements require
    WRITE = auto()  # WRITE on the database that `db` names
    BUCKET = auto()  # WRITE on the database that `bucket` names
    READ = auto()  # READ on the database that `db` names
    LOCAL_ONLY = auto()  # a path of Headgate's own: forward authentication denies it
    NOT_SERVED = auto()  # a path of InfluxDB's that is not served
    STORE_METRICS = auto()  # metrics of an InfluxDB: not served; unknown without an upstream store


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The properties of a path that Headgate answers itself.

    *methods* are the methods that the path allows; an empty tuple allows all. *parameters* are the
    names of its parameters. *influxdb* is True for a path of InfluxDB's API for which another
    upstream store may have another use.
    """

    methods: tuple[str, ...]
    requirement: Requirement
    parameters: tuple[str, ...] = ()
    influxdb: bool = False


CONSOLE_PATHS = ("/console", "/console/*", "/login/*")
_ID_PATTERN = re.compile("[0-9a-f]{1,32}")
_STORE_PREFIXES = ("/api/v1/", "/api/v2/")
# A path may have 8 KiB.
_MAX_CACHED_PATHS = 256
_READ_METHODS, _REMOTE_PARAMETERS = ("GET", "HEAD"), ("db", "rp", "precision", "consistency")
_NOT_SERVED = Endpoint((), Requirement.NOT_SERVED, influxdb=True)
_STORE_METRICS = Endpoint((), Requirement.STORE_METRICS, influxdb=True)

# Accounts: `{id}` stands for an id.
_ACCOUNT_ENDPOINTS = {
    path: Endpoint(tuple(methods.split()), Requirement.LOCAL_ONLY)
    for path, methods in {
        "/api/keys": "GET POST",
        "/api/keys/{id}": "GET DELETE",
        "/api/keys/{id}/rotate": "POST",
        "/api/keys/{id}/previous": "DELETE",
        "/api/user": "GET PATCH",
        "/api/user/password": "PUT",
        "/api/user/keys": "GET POST",
        "/api/user/keys/{id}": "DELETE",
        "/api/user/keys/{id}/rotate": "POST",
        "/api/user/keys/{id}/previous": "DELETE",
        "/api/user/sessions": "GET DELETE",
        "/api/user/sessions/{id}": "DELETE",
        "/api/users": "GET POST",
        "/api/users/{id}": "GET PATCH DELETE",
        "/api/users/{id}/password": "PUT",
        "/api/users/{id}/disable": "PUT",
        "/api/users/{id}/enable": "PUT",
        "/api/users/{id}/approve": "PUT",
        "/api/users/{id}/role": "PUT",
        "/api/users/{id}/grants": "PUT",
        "/api/users/{id}/keys": "GET DELETE",
        "/api/users/{id}/sessions": "GET DELETE",
        "/api/users/{id}/sessions/{id}": "DELETE",
        "/api/session": "GET POST DELETE",
        "/api/session/rotate": "POST",
        "/api/session/device": "POST",
        "/api/session/code": "POST",
        "/api/sessions": "GET",
        "/api/sessions/revoke": "POST",
        "/api/audit": "GET",
        "/login": "GET HEAD POST",
        "/logout": "GET HEAD POST",
        "/api/providers": "GET",
        "/api/user/identities": "GET",
        "/api/user/identities/{id}": "DELETE",
        "/api/users/{id}/identities": "GET POST",
        "/api/users/{id}/identities/{id}": "DELETE",
        "/signup": "GET HEAD POST",
    }.items()
}

# By path, exact and undecoded, as in InfluxDB: `/query/` and `/%71uery` are not found. A final `/*`
# matches every path below.
ENDPOINTS: Mapping[str, Endpoint] = {
    "/query": Endpoint(
        ("GET", "POST"), Requirement.QUERY, ("db", "rp", "epoch", "chunked", "chunk_size", "pretty")
    ),
    "/write": Endpoint(("POST",), Requirement.WRITE, _REMOTE_PARAMETERS),
    "/api/v2/write": Endpoint(("POST",), Requirement.BUCKET, ("bucket", "precision")),
    "/api/v1/prom/write": Endpoint(("POST",), Requirement.WRITE, _REMOTE_PARAMETERS, influxdb=True),
    "/api/v1/prom/read": Endpoint(("POST",), Requirement.READ, _REMOTE_PARAMETERS, influxdb=True),
    "/ping": Endpoint(_READ_METHODS, Requirement.OPEN),
    "/status": Endpoint(_READ_METHODS, Requirement.OPEN),
    "/health": Endpoint(_READ_METHODS, Requirement.OPEN),
    "/metrics": Endpoint(("GET",), Requirement.LOCAL_ONLY),
    "/api/whoami": Endpoint(("GET",), Requirement.LOCAL_ONLY),
    "/api/access": Endpoint(("GET",), Requirement.LOCAL_ONLY),
    "/api/apply": Endpoint(("POST",), Requirement.LOCAL_ONLY),
    "/api/reload": Endpoint(("POST",), Requirement.LOCAL_ONLY),
    **dict.fromkeys(
        (
            *("/access/v1/evaluation", "/access/v1/evaluations"),
            *("/access/v1/search/subject", "/access/v1/search/resource"),
        ),
        Endpoint(("POST",), Requirement.LOCAL_ONLY),
    ),
    **_ACCOUNT_ENDPOINTS,
    **dict.fromkeys(CONSOLE_PATHS, Endpoint(("GET", "HEAD", "POST"), Requirement.LOCAL_ONLY)),
    "/openapi.json": Endpoint(("GET",), Requirement.LOCAL_ONLY),
    **dict.fromkeys(
        (
            *("/api/v2/query", "/api/v2/query/*", "/api/v2/delete", "/api/v2/buckets"),
            "/api/v2/buckets/*",
        ),
        _NOT_SERVED,
    ),
    **dict.fromkeys(("/api/v1/prom/metrics", "/debug", "/debug/*"), _STORE_METRICS),
}
_PREFIXES = tuple(key.removesuffix("*") for key in ENDPOINTS if key.endswith("/*"))
# Paths that Headgate also answers below the path prefix (`mount`) of an upstream store with a route
# table, if that store accepts line protocol.
_PATHS_BELOW_MOUNTS = frozenset(
    {"/query", "/write", "/api/v2/write", "/ping", "/status", "/health"}
)


class MountProperties(Protocol):
    """The properties of an upstream store by which `local_pattern` decides. See `Mount`."""

    @property
    def has_route_table(self) -> bool:
        """Whether Headgate proxies the store's own HTTP API, authorized by a route table."""
        ...

    @property
    def accepts_line_protocol(self) -> bool:
        """Whether requests in InfluxQL and line protocol can name the store's databases."""
        ...


@cache
def accepts_cookie(pattern: str) -> bool:
    """Returns whether a session's cookie counts on *pattern*: on /query and /api, on no write."""
    return pattern in ("/query", "/login", "/logout", *CONSOLE_PATHS) or (
        pattern.startswith("/api/") and not pattern.startswith(_STORE_PREFIXES)
    )


@cache
def accepts_guest(pattern: str) -> bool:
    """Returns whether a request without a login may read on *pattern* as an anonymous user."""
    return pattern in ("/query", "/api/whoami", "/api/v1/prom/read")


def path_ids(path: bytes) -> list[str]:
    """Returns the ids in *path*, a path that matches a pattern with `{id}`, in order."""
    return [part for part in path.decode("latin-1").split("/") if _ID_PATTERN.fullmatch(part)]


@lru_cache(_MAX_CACHED_PATHS)
def pattern_of(path: str) -> str:
    """Returns the key of `ENDPOINTS` that *path* matches, or "" if there is none."""
    if path in ENDPOINTS:
        return path if "{" not in path else ""
    if path.startswith("/api/"):
        parts = ["{id}" if _ID_PATTERN.fullmatch(part) else part for part in path.split("/")]
        if (pattern := "/".join(parts)) in ENDPOINTS and pattern != path:
            return pattern
    return next((f"{start}*" for start in _PREFIXES if path.startswith(start)), "")


def local_pattern(mount: MountProperties | None, path: str, *, below_mount: bool) -> str:
    """Returns the key of `ENDPOINTS` that *path* matches, or "" if Headgate does not answer *path*.

    *mount* is the upstream store that the request is for, or None. *below_mount* is True if the
    original path began with the path prefix (`mount`) of that store.
    """
    pattern = pattern_of(path)
    if not pattern:
        return ""
    if mount is None:
        return "" if ENDPOINTS[pattern].requirement is Requirement.STORE_METRICS else pattern
    if not mount.has_route_table:
        return pattern
    if ENDPOINTS[pattern].influxdb:
        return ""
    return (
        ""
        if below_mount and not (mount.accepts_line_protocol and path in _PATHS_BELOW_MOUNTS)
        else pattern
    )
