"""An answer on the screen."""

from headgate_shell.jsontext import json_text
from headgate_shell.server import Response
from headgate_shell.session import Session
from headgate_shell.tables import column_text, csv_text

_HINT = (
    "Warning: It is possible this error is due to not setting a database.\n"
    'Please set a database with the command "use <database>".\n'
)


def shown(response: Response, session: Session, *, hint: bool = True) -> str:
    """*response* in the session's format, then its first error as `ERR: ...`.

    With *hint*, an error while no database is set is followed by influx's advice to set one.
    """
    match session.format:
        case "column":
            text = column_text(response)
        case "csv":
            text = csv_text(response)
        case "json":
            text = json_text(response, pretty=session.pretty)
        case "table" | "vertical" | "markdown" as layout:
            # Not for scripts, which start often.
            from headgate_shell.layouts import LAYOUTS

            text = LAYOUTS[layout](response)
        case _:
            text = f'Unknown output format "{session.format}".\n'
    if error := response.first_error:
        text += f"ERR: {error}\n"
        if hint and not session.database:
            text += _HINT
    return text
