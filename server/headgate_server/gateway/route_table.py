"""Which request needs what: a table of routes, in data. What is in no table is for nobody."""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from headgate_server.config.gateway import Route, UpstreamSettings, read_route
from headgate_server.config.text_file import read_text

_STAR = r"[^/]+"


class Table:
    """Routes by method and path; the first that fits counts."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, list[Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], str, Route]] = []
        for route in routes:
            for path in route.paths:
                if "*" in path:
                    self._patterns.append((_pattern(path), path, route))
                else:
                    self._exact.setdefault(path, []).append(route)

    def find(self, method: str, path: str) -> tuple[str, Route] | None:
        """The route of a request and its path in the table; HEAD is asked for like GET."""
        method = "GET" if method == "HEAD" else method
        for route in self._exact.get(path, ()):
            if method in route.methods:
                return path, route
        for pattern, text, route in self._patterns:
            if method in route.methods and pattern.fullmatch(path):
                return text, route
        return None

    def methods(self, path: str) -> set[str]:
        """Those that there is a route for."""
        found = [route for route in self._exact.get(path, ())]
        found += [route for pattern, _, route in self._patterns if pattern.fullmatch(path)]
        return {method for route in found for method in route.methods}


def _pattern(path: str) -> re.Pattern[str]:
    """`*` is a whole segment or a part of one, `/**` at the end everything from there on."""
    base, rest = (path[:-3], "(?:/.*)?") if path.endswith("/**") else (path, "")
    return re.compile(_STAR.join(map(re.escape, base.split("*"))) + rest)


def table_for(settings: UpstreamSettings) -> Table:
    """Its own routes, then those of the file that it names, or else of its protocol.

    Raises ValueError, one line with the option.
    """
    if settings.table:
        try:
            shipped = _read(read_text(settings.table))
        except OSError as error:
            raise ValueError(f"table {settings.table}: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"table {settings.table}: {error}") from None
    else:
        shipped = _shipped(settings.protocol)
    return Table([*settings.routes, *shipped])


@cache
def _shipped(protocol: str) -> tuple[Route, ...]:
    name = "prometheus" if protocol == "prometheus" else protocol
    file = files("headgate_server.gateway") / "routes" / f"{name}.toml"
    return _read(file.read_text("utf-8"))


def _read(text: str) -> tuple[Route, ...]:
    """Raises ValueError."""
    content = tomllib.loads(text)
    routes = content.get("route")
    if not isinstance(routes, list) or not all(isinstance(one, dict) for one in routes):
        raise ValueError("expected tables: [[route]]")
    return tuple(map(read_route, routes))
