"""Requests of commands to a running server, by the session of `headgate login`."""

import os
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from headgate.saved_sessions import saved_session, session_of_same_machine
from headgate.server_url import connection_to
from headgate_shell.backends.base import ConnectionFailed
from headgate_shell.backends.http import HttpBackend

_PAGE_SIZE = 1000


class ServerAway(ValueError):
    """The server cannot be reached."""


class ServerRequests:
    """Sends requests to the server at *url*, with HEADGATE_TOKEN or the saved session.

    Raises ValueError, with a message of one line, if there is neither.
    """

    def __init__(self, url: str) -> None:
        token = os.environ.get("HEADGATE_TOKEN", "")
        connection = connection_to(url, "", "")
        session = saved_session(connection.session_url) if not token else None
        if session is None and not token:
            near = session_of_same_machine(connection.session_url)
            hint = f"; there is a session at {near}" if near else ""
            raise ValueError(f"not signed in to {connection.session_url}: see headgate login{hint}")
        self._connection = connection._replace(token=token, session=session)

    def send(self, method: str, path: str, content: Any = None) -> Any:
        """Sends *content* as JSON to *path*, and returns the content of the response.

        Raises ValueError for an error, and if the server cannot be reached.
        """
        try:
            answer = HttpBackend().account_request(self._connection, method, path, content)
        except ConnectionFailed as error:
            raise ServerAway(str(error)) from None
        status, found = answer if answer is not None else (0, None)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return found
        if isinstance(found, dict) and isinstance(found.get("error"), str):
            ended = status == HTTPStatus.UNAUTHORIZED and not self._connection.token
            hint = ": see headgate login" if ended else ""
            raise ValueError(f"{self._connection.url}: {found['error']}{hint}")
        raise ValueError(f"{self._connection.url}: the response is not that of a Headgate")

    def pages(
        self, path: str, parameters: Mapping[str, str], member: str = ""
    ) -> Iterator[list[dict[str, Any]]]:
        """Yields the pages of the list at *path*, or of its member *member*. Raises ValueError."""
        after = parameters.get("after", "")
        while True:
            query = {**parameters, "limit": str(_PAGE_SIZE)} | ({"after": after} if after else {})
            found = self.send("GET", f"{path}?{urlencode(query, errors='surrogateescape')}")
            page = found.get(member) if member and isinstance(found, dict) else found
            if not isinstance(page, list) or not all(isinstance(it, dict) for it in page):
                raise ValueError(f"{self._connection.url}: the response has no list")
            if page:
                yield page
            if len(page) < _PAGE_SIZE:
                return
            after = str(page[-1].get("id", ""))
