"""Formats a response in the format of the session, with its error and a hint."""

import re
from typing import Any

from headgate_shell.backends.base import Response
from headgate_shell.output.control_characters import escape_controls, escape_controls_in_json
from headgate_shell.output.influx_formats import format_columns, format_csv
from headgate_shell.output.json_text import json_text
from headgate_shell.session import Session

# influx prints this after each error while no database is set, and scripts search for it.
_DATABASE_HINT = (
    "Warning: It is possible this error is due to not setting a database.\n"
    'Please set a database with the command "use <database>".\n'
)
_LOGIN_ERRORS = re.compile("authorization failed|unable to parse authentication credentials")
_LOGIN_HINT = "Log in with `auth`, or with the flags -username and -password.\n"
# An administrator's statement about the user's own grants or password.
_OWN_ERRORS = re.compile(
    r"error authorizing query: .* statement '(SHOW GRANTS|SET PASSWORD) FOR"
    r" (.+?)(?: = \[REDACTED\])?', requires admin privilege",
    re.DOTALL,
)
_OWN_HINTS = {
    "SHOW GRANTS": "On Headgate, `\\du` lists your own grants.\n",
    "SET PASSWORD": "On Headgate, `\\password` sets your own password.\n",
}
_DATABASE_ERRORS = re.compile("database (name|is) required")


def render(response: Response, session: Session, *, hint: bool = True) -> str:
    """Returns *response* in the session's format, then its first error as `ERR: ...`, then a hint.

    The hint says how to log in or set a database; *hint* False omits it. On a terminal, control
    characters are escaped, and the hint depends on the error. In a file or pipe, the output is
    byte for byte that of influx, InfluxDB's own shell.
    """
    formatted = _format_response(response, session)
    error = response.first_error
    if not error:
        return formatted
    if not session.to_terminal:
        return f"{formatted}ERR: {error}\n" + (
            _DATABASE_HINT if hint and not session.database else ""
        )
    return f"{formatted}ERR: {escape_controls(error)}\n" + (
        _interactive_hint(error, session) if hint else ""
    )


def _interactive_hint(error: str, session: Session) -> str:
    """Returns a hint on the login, the database or the user's own account, or ""."""
    if _LOGIN_ERRORS.match(error):
        return _LOGIN_HINT
    if (denied := _OWN_ERRORS.match(error)) is not None:
        name = session.connection.username
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return _OWN_HINTS[denied[1]] if denied[2] in (name, quoted) else ""
    return _DATABASE_HINT if _DATABASE_ERRORS.match(error) and not session.database else ""


def _format_response(response: Response, session: Session) -> str:
    match session.format:
        case "column":
            if not session.to_terminal:
                return format_columns(response)
            # Imported on demand: scripts start often.
            from headgate_shell.output.headgate_formats import display_width

            return format_columns(_escape_response(response), display_width)
        case "csv":
            return format_csv(_escape_response(response) if session.to_terminal else response)
        case "json":
            text = json_text(response, pretty=session.pretty)
            return escape_controls_in_json(text) if session.to_terminal else text
        case "table" | "vertical" | "markdown" as layout:
            # Imported on demand: scripts start often, and rarely use these formats.
            from headgate_shell.output.headgate_formats import LAYOUTS

            return LAYOUTS[layout](response)
        case _:
            return f'Unknown output format "{session.format}".\n'


def _escape_response(response: Response) -> Response:
    """Returns *response* with control characters escaped, so that column widths fit."""
    return Response([_escape_value(result) for result in response.results], response.error)


def _escape_value(value: Any) -> Any:
    match value:
        case str():
            escaped = escape_controls(value)
            # Unchanged values keep their class: a Number has no control characters.
            return value if escaped == value else escaped
        case list():
            return [_escape_value(member) for member in value]
        case dict():
            return {
                escape_controls(str(name)): _escape_value(member) for name, member in value.items()
            }
        case _:
            return value
