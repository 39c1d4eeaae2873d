"""A store file in place of a server: the way back in when nobody can log in any more."""

import os
import sys
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from typing import Any, Protocol

from headgate_engine import EVERYBODY, Engine, Result, Series, SqliteStore, StoreError
from headgate_grammar import ParseError
from headgate_shell.backends.base import Points, Response
from headgate_shell.session import Session


class OpenEngine(Protocol):
    """Makes an engine on a store, with the rules for passwords of a configuration file."""

    def __call__(self, store: SqliteStore, *, config: str | None) -> Engine:
        """Raises ValueError if the configuration is wrong: one line."""
        ...


def on_store(
    path: str,
    engine: Callable[[SqliteStore], Engine],
    session: Session,
    work: Callable[[], int],
) -> int:
    """Does *work* with *session* on the store file *path*; its exit status, 1 without a store.

    *engine* makes the engine on that store. It raises ValueError if it cannot.
    """
    try:
        store = SqliteStore(path, create=False)
    except StoreError as error:
        print(f"headgate: {error}", file=sys.stderr)
        return 1
    with closing(store):
        try:
            session.store, session.server = path, LocalStore(engine(store))
        except ValueError as error:
            print(f"headgate: {error}", file=sys.stderr)
            return 1
        return work()


class LocalStore:
    """Runs statements with *engine*, as an administrator."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._address = f"local, user id {os.getuid()}"

    def ping(self, session: Session) -> str:
        return version("headgate")

    def query(self, session: Session, text: str) -> Response:
        try:
            results = self._engine.query(text, EVERYBODY, session.database, self._address)
        except ParseError as error:
            return Response([], f"error parsing query: {error}")
        return Response([_result(result) for result in results])

    def write(self, session: Session, points: Points) -> str:
        return "no upstream store is configured: data cannot be written\n"


def _result(result: Result) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if result.series:
        content["series"] = [_series(series) for series in result.series]
    if result.error:
        content["error"] = result.error
    return content


def _series(series: Series) -> dict[str, Any]:
    content: dict[str, Any] = {"columns": list(series.columns)}
    if series.name:
        content["name"] = series.name
    if series.values:
        content["values"] = [list(row) for row in series.values]
    return content
