"""Implements `Backend` on the SQLite file of users, to recover access if no login works."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

from headgate_engine import UNRESTRICTED, VERSION, Engine, Result, Series, StoreError
from headgate_grammar import ParseError, Privilege
from headgate_shell.backends.access_table import access_table, unknown_name
from headgate_shell.backends.base import ConnectionSettings, Points, RequestOptions, Response
from headgate_shell.session import Session


class OpenEngine(Protocol):
    """A function that opens an engine, which executes statements on a user store.

    *location* is a store's path or URL. *config* is the path of the server's configuration file,
    which has the password rules.
    """

    def __call__(self, location: str, *, config: str | None) -> AbstractContextManager[Engine]:
        """Returns a context with the engine, at whose end the store is closed.

        Raises StoreError, and ValueError if the file *config* is invalid.
        """
        ...


def run_on_store(
    location: str,
    open_engine: Callable[[str], AbstractContextManager[Engine]],
    session: Session,
    work: Callable[[], int],
) -> int:
    """Connects *session* to the store at *location*, then returns the exit status of *work*.

    *open_engine* opens an engine there, or raises ValueError or StoreError: then prints the error
    and returns 1.
    """
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(open_engine(location))
        except (StoreError, ValueError) as error:
            print(f"headgate: {error}", file=sys.stderr)
            return 1
        session.store_path, session.backend = location, StoreBackend(engine)
        return work()


class StoreBackend:
    """Implements `Backend`: executes statements with *engine*, with unrestricted privileges."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._address = f"local, user id {os.getuid()}"

    def ping(self, connection: ConnectionSettings) -> str:
        """Returns the version of this package."""
        return VERSION

    def query(self, connection: ConnectionSettings, text: str, options: RequestOptions) -> Response:
        """Executes the statements *text*. If they do not parse, the response holds the error."""
        try:
            results = self._engine.query(text, UNRESTRICTED, options.database, self._address)
        except ParseError as error:
            return Response([], f"error parsing query: {error}")
        return Response([_encode_result(result) for result in results])

    def own_grants(self, connection: ConnectionSettings) -> Response | None:
        """Returns None: a session on a store file has no user."""
        return None

    def account_request(
        self, connection: ConnectionSettings, method: str, path: str, content: Any = None
    ) -> tuple[int, Any] | None:
        """Returns None: `headgate key`, `user` and `session` work on a store file."""
        return None

    def access(self, connection: ConnectionSettings, name: str) -> Response | None:
        """Returns a table of users and their privileges, as `Backend.access` does."""
        store = self._engine.store
        if name and store.database(name) is not None:
            users = [
                {
                    "user": user.name,
                    "admin": user.admin,
                    "privilege": str(Privilege.ALL if user.admin else user.grants[name]),
                }
                for user in store.users_with_grants(database=name)
            ]
            return access_table(users)
        found = store.users_with_grants() if not name else [self._engine.user(name)]
        contents = [
            {
                "name": user.name,
                "admin": user.admin,
                "grants": {on: str(it) for on, it in user.grants.items() if it},
            }
            for user in found
            if user is not None
        ]
        return access_table(contents) if contents or not name else unknown_name(name)

    def change_own_password(self, connection: ConnectionSettings, password: str) -> str | None:
        """Returns None: a session on a store file has no user."""
        return None

    def write(self, connection: ConnectionSettings, points: Points, options: RequestOptions) -> str:
        """Returns an error: the file holds users and grants, and no time series."""
        return "no upstream store is configured: data cannot be written\n"


def _encode_result(result: Result) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if result.series:
        content["series"] = [_encode_series(series) for series in result.series]
    if result.error:
        content["error"] = result.error
    return content


def _encode_series(series: Series) -> dict[str, Any]:
    content: dict[str, Any] = {"columns": list(series.columns)}
    if series.name:
        content["name"] = series.name
    if series.values:
        content["values"] = [list(row) for row in series.values]
    return content
