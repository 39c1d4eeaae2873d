"""The paths that Headgate answers itself, with the privilege that each requires.

One table for requests to Headgate and for forward authentication.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol


class Right(Enum):
    """What a request for a path requires."""

    OPEN = auto()  # nothing, or with `ping-auth-enabled` a login
    QUERY = auto()  # the privileges that its statements require
    WRITE = auto()  # WRITE on the database that `db` names
    BUCKET = auto()  # WRITE on the database that `bucket` names
    READ = auto()  # READ on the database that `db` names
    OURS = auto()  # Headgate's own: another proxy must not forward it to a store
    REFUSED = auto()  # a path of InfluxDB's that is not served
    FIGURES = auto()  # the store's own metrics: not served, and not found without a store


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The methods of a path (empty: all), the privilege it requires, and its parameters.

    *influxdb* is True for a path that may have another meaning in other stores than InfluxDB.
    """

    methods: tuple[str, ...]
    right: Right
    parameters: tuple[str, ...] = ()
    influxdb: bool = False


_READ, _REMOTE = ("GET", "HEAD"), ("db", "rp", "precision", "consistency")
_NOT_SERVED = Endpoint((), Right.REFUSED, influxdb=True)
_FIGURES = Endpoint((), Right.FIGURES, influxdb=True)

# Exact and undecoded, as InfluxDB matches paths: `/query/` and `/%71uery` are not found. A final
# `/*` matches every path below.
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
# Answered also below the mount of a store with its own route table, if it accepts line protocol.
_BELOW_MOUNTS = frozenset({"/query", "/write", "/api/v2/write", "/ping", "/status", "/health"})


class Place(Protocol):
    """The properties of a mounted store that this table depends on."""

    @property
    def has_table(self) -> bool:
        """Whether the store's own HTTP API is served by a route table."""
        ...

    @property
    def takes_lines(self) -> bool:
        """Whether InfluxQL and line protocol name the store's databases."""
        ...


def pattern_of(path: str) -> str:
    """Returns the key of *path* in `ENDPOINTS`, or ""."""
    if path in ENDPOINTS:
        return path
    return next((f"{start}*" for start in _STARTS if path.startswith(start)), "")


def answered_here(place: Place | None, path: str, *, mounted: bool) -> str:
    """Returns the key of *path* in `ENDPOINTS` if Headgate answers it itself, else "".

    *place* is the store that the request is for, or None. *mounted* is True if the path was below
    the mount of that store.
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
