"""Formats a response for output."""

import re
from typing import Any

from headgate_shell.backends.base import Response
from headgate_shell.output.control_characters import visible, visible_json
from headgate_shell.output.json_text import json_text
from headgate_shell.output.tables import column_text, csv_text
from headgate_shell.session import Session

# influx prints this after each error while no database is set, and scripts search for it.
_HINT = (
    "Warning: It is possible this error is due to not setting a database.\n"
    'Please set a database with the command "use <database>".\n'
)
_NO_LOGIN = re.compile("authorization failed|unable to parse authentication credentials")
_LOGIN_HINT = "Log in with `auth`, or with the flags -username and -password.\n"
_NO_DATABASE = re.compile("database (name|is) required")


def shown(response: Response, session: Session, *, hint: bool = True) -> str:
    """Returns *response* in the session's format, then its first error as `ERR: ...`, then a hint.

    On a terminal, control characters are escaped, and the hint depends on the error. Otherwise the
    text is influx's to the byte. *hint* False omits the hint.
    """
    formatted = _formatted(response, session)
    error = response.first_error
    if not error:
        return formatted
    if not session.on_terminal:
        return f"{formatted}ERR: {error}\n" + (_HINT if hint and not session.database else "")
    return f"{formatted}ERR: {visible(error)}\n" + (_fitting(error, session) if hint else "")


def _fitting(error: str, session: Session) -> str:
    """Returns the hint for an interactive user, or ""."""
    if _NO_LOGIN.match(error):
        return _LOGIN_HINT
    return _HINT if _NO_DATABASE.match(error) and not session.database else ""


def _formatted(response: Response, session: Session) -> str:
    match session.format:
        case "column":
            return column_text(_visible(response) if session.on_terminal else response)
        case "csv":
            return csv_text(_visible(response) if session.on_terminal else response)
        case "json":
            text = json_text(response, pretty=session.pretty)
            return visible_json(text) if session.on_terminal else text
        case "table" | "vertical" | "markdown" as layout:
            # Imported on demand: scripts start often, and rarely use these formats.
            from headgate_shell.output.layouts import LAYOUTS

            return LAYOUTS[layout](response)
        case _:
            return f'Unknown output format "{session.format}".\n'


def _visible(response: Response) -> Response:
    """Returns *response* with control characters escaped in all texts, for aligned columns."""
    return Response([_visible_value(result) for result in response.results], response.error)


def _visible_value(value: Any) -> Any:
    match value:
        case str():
            safe = visible(value)
            # Unchanged values keep their class: a Number has no control characters.
            return value if safe == value else safe
        case list():
            return [_visible_value(member) for member in value]
        case dict():
            return {visible(str(name)): _visible_value(member) for name, member in value.items()}
        case _:
            return value
