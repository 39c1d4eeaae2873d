"""The paths that Headgate answers itself and what each needs: one table, for requests that come
here and for those that another proxy asks about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol


class Right(Enum):
    """What a request for a path needs."""

    OPEN = auto()  # nothing, or with `ping-auth-enabled` a login
    QUERY = auto()  # what its statements need
    WRITE = auto()  # WRITE on the database that `db` names
    BUCKET = auto()  # WRITE on the database that `bucket` names
    READ = auto()  # READ on the database that `db` names
    OURS = auto()  # never a store's: another proxy must not hand it on
    REFUSED = auto()  # a path of InfluxDB's that is not served
    FIGURES = auto()  # the store's figures of itself: not served, and not found without a store


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path's methods (none: all of them), what it needs, and its parameters; *influxdb* is true
    for a path that other stores than InfluxDB may have with another meaning.
    """

    methods: tuple[str, ...]
    right: Right
    parameters: tuple[str, ...] = ()
    influxdb: bool = False


_READ, _REMOTE = ("GET", "HEAD"), ("db", "rp", "precision", "consistency")
_NOT_SERVED = Endpoint((), Right.REFUSED, influxdb=True)
_FIGURES = Endpoint((), Right.FIGURES, influxdb=True)

# Exact and undecoded, as InfluxDB matches paths: `/query/` and `/%71uery` are not found. `/*` at
# the end is everything below.
ENDPOINTS: Mapping[str, Endpoint] = {
    "/query": Endpoint(
        ("GET", "POST"), Right.QUERY, ("db", "rp", "epoch", "chunked", "chunk_size", "pretty")
    ),
    "/write": Endpoint(("POST",), Right.WRITE, _REMOTE),
    "/api/v2/write": Endpoint(("POST",), Right.BUCKET, ("bucket", "precision")),
    "/api/v1/prom/write": Endpoint(("POST",), Right.WRITE, _REMOTE, influxdb=True),
    "/api/v1/prom/read": Endpoint(("POST",), Right.READ, _REMOTE, influxdb=True),
    "/ping": Endpoint(_READ, Right.OPEN),
    "/status": Endpoint(_READ, Right.OPEN),
    "/health": Endpoint(_READ, Right.OPEN),
    "/metrics": Endpoint(("GET",), Right.OURS),
    "/api/whoami": Endpoint(("GET",), Right.OURS),
    "/openapi.json": Endpoint(("GET",), Right.OURS),
    **dict.fromkeys(
        (
            *("/api/v2/query", "/api/v2/query/*", "/api/v2/delete", "/api/v2/buckets"),
            "/api/v2/buckets/*",
        ),
        _NOT_SERVED,
    ),
    **dict.fromkeys(("/api/v1/prom/metrics", "/debug", "/debug/*"), _FIGURES),
}
_STARTS = tuple(key.removesuffix("*") for key in ENDPOINTS if key.endswith("/*"))
# Below the mount of a store that has a table of its own, if it takes line protocol.
_BELOW_MOUNTS = frozenset({"/query", "/write", "/api/v2/write", "/ping", "/status", "/health"})


class Place(Protocol):
    """A store as far as this table has to know it."""

    @property
    def has_table(self) -> bool: ...

    @property
    def takes_lines(self) -> bool: ...


def pattern_of(path: str) -> str:
    """The key of *path* in the table, or ""."""
    if path in ENDPOINTS:
        return path
    return next((f"{start}*" for start in _STARTS if path.startswith(start)), "")


def answered_here(place: Place | None, path: str, *, mounted: bool) -> str:
    """The key of *path* if Headgate answers it itself in front of the store at *place* (None: there
    is none); else "". With *mounted* the path stood below the store's mount.
    """
    pattern = pattern_of(path)
    if not pattern:
        return ""
    if place is None:
        return "" if ENDPOINTS[pattern].right is Right.FIGURES else pattern
    if not place.has_table:
        return pattern
    if ENDPOINTS[pattern].influxdb:
        return ""
    return "" if mounted and not (place.takes_lines and path in _BELOW_MOUNTS) else pattern
