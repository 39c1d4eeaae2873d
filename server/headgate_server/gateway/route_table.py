"""Route tables: for each path and method of an upstream store's API, the privilege it requires.

The built-in tables are the files `routes/*.toml`. A request that no route matches is rejected.
"""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from headgate_server.config.gateway import UpstreamSettings
from headgate_server.config.route import Route, read_route
from headgate_server.config.text_file import read_text

_SEGMENT_PATTERN = r"[^/]+"


class RouteTable:
    """Finds the route for a method and a path.

    Exact paths are tried first. Paths with `*` (patterns) follow, in the order of *routes*.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, list[Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], str, Route]] = []
        for route in routes:
            for path in route.paths:
                if "*" in path:
                    self._patterns.append((_compile_pattern(path), path, route))
                else:
                    self._exact.setdefault(path, []).append(route)

    def match(self, method: str, path: str) -> tuple[str, Route] | None:
        """Returns the path or pattern in the table that *path* matches, followed by its route.

        Returns None if no route matches *method* and *path*. HEAD counts as GET.
        """
        method = "GET" if method == "HEAD" else method
        for route in self._exact.get(path, ()):
            if method in route.methods:
                return path, route
        for pattern, text, route in self._patterns:
            if method in route.methods and pattern.fullmatch(path):
                return text, route
        return None

    def methods(self, path: str) -> set[str]:
        """Returns the methods for which *path* has a route."""
        found = [route for route in self._exact.get(path, ())]
        found += [route for pattern, _, route in self._patterns if pattern.fullmatch(path)]
        return {method for route in found for method in route.methods}


def _compile_pattern(path: str) -> re.Pattern[str]:
    """Returns the path pattern *path* as a regular expression.

    `*` matches one or more characters within a segment. A final `/**` matches the path before it,
    and every path below that path.
    """
    base, rest = (path[:-3], "(?:/.*)?") if path.endswith("/**") else (path, "")
    return re.compile(_SEGMENT_PATTERN.join(map(re.escape, base.split("*"))) + rest)


def load_route_table(settings: UpstreamSettings) -> RouteTable:
    """Returns the route table of an upstream store.

    The routes in *settings* come first, then the routes of the file in the option `table`. Without
    that option, the built-in routes of the store's protocol follow. Raises ValueError for an
    invalid file. The error's text is one line, which names the option.
    """
    if settings.table:
        try:
            base_routes = _parse_routes(read_text(settings.table))
        except OSError as error:
            raise ValueError(f"table {settings.table}: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"table {settings.table}: {error}") from None
    else:
        base_routes = _builtin_routes(settings.protocol)
    return RouteTable([*settings.routes, *base_routes])


@cache
def _builtin_routes(protocol: str) -> tuple[Route, ...]:
    file = files("headgate_server.gateway") / "routes" / f"{protocol}.toml"
    return _parse_routes(file.read_text("utf-8"))


def _parse_routes(text: str) -> tuple[Route, ...]:
    """Returns the routes in *text*, which is TOML. Raises ValueError if *text* is invalid."""
    content = tomllib.loads(text)
    routes = content.get("route")
    if not isinstance(routes, list) or not all(isinstance(one, dict) for one in routes):
        raise ValueError("expected tables: [[route]]")
    return tuple(map(read_route, routes))
