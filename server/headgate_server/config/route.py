"""A route of an upstream store's HTTP API: some paths, and the privilege that they require."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headgate_server.config.option_fields import option, read_table
from headgate_server.config.values import text, texts

# Formats of written data in which Headgate can rename labels.
WRITE_FORMATS = ("line", "remote-write", "json", "text", "csv")
COMPONENTS = (
    *("distributor", "query-frontend", "querier", "ruler", "alertmanager", "compactor"),
    *("insert", "select"),
)
# The answer of a route that returns the parameter `query`.
QUERY_ANSWER = "$query"
_REQUIRED = ("methods", "paths", "privilege")


def _methods(value: Any) -> tuple[str, ...]:
    return tuple(method.upper() for method in texts(value))


def _paths(value: Any) -> tuple[str, ...]:
    paths = texts(value)
    if not all(path.startswith("/") for path in paths):
        raise ValueError("expected them to begin with /")
    return paths


def _answer(value: Any) -> str:
    answer = text(value)
    if answer not in ("", QUERY_ANSWER):
        try:
            json.loads(answer)
        except ValueError:
            raise ValueError(f"expected JSON, or {QUERY_ANSWER}") from None
    return answer


@dataclass(frozen=True, slots=True)
class Route:
    """The *privilege* that a user needs for a request with one of *methods* for one of *paths*.

    The privilege is READ, WRITE, MANAGE or ADMIN. *component* names the server that answers the
    request, such as `querier`, for an upstream store that consists of several servers. If *answer*
    is set, Headgate answers the request itself.
    """

    methods: tuple[str, ...] = option("HTTP methods; required", reader=_methods)
    paths: tuple[str, ...] = option(
        "Paths; `*` stands for one segment, `/**` for the rest of the path; required",
        reader=_paths,
    )
    privilege: str = option(
        "`READ`, `WRITE`, `MANAGE` or `ADMIN`; required",
        among=("READ", "WRITE", "MANAGE", "ADMIN"),
    )
    component: str = option("Component of the store that answers the request", "", among=COMPONENTS)
    websocket: bool = option("The route is a WebSocket", False)
    answer: str = option(
        "JSON that Headgate answers as `data`, without the store; `$query`: the parameter `query`",
        "",
        reader=_answer,
    )
    format: str = option(
        "Format of writes: `line`, `remote-write`, `json`, `text`, `csv`", "", among=WRITE_FORMATS
    )


def read_route(table: Mapping[str, Any]) -> Route:
    """Returns the route in the TOML *table*. Raises ValueError if *table* is invalid."""
    if not table.keys() >= set(_REQUIRED):
        raise ValueError("a route has methods, paths and privilege")
    return Route(**read_table(Route, table))


def read_routes(value: Any) -> tuple[Route, ...]:
    """Returns the routes in *value*, a list of TOML tables. Raises ValueError."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError("expected tables: [[gateway.upstream.routes]]")
    return tuple(map(read_route, value))
