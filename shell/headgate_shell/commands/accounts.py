"""The commands about API keys and sessions: `\\keys`, `\\key`, `\\revoke` and others."""

from typing import Any

from headgate_shell.backends.base import Response
from headgate_shell.go_space import arguments
from headgate_shell.output.render import render
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, Terminal

_KEY_COLUMNS = ("id", "user", "name", "role", "grants", "expiresAt", "lastSeenAt")
_SESSION_COLUMNS = ("id", "user", "method", "client_ip", "created_at", "seen_at")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_KEY_USAGE = "\\key NAME [for USER] [READ|WRITE|ALL on DATABASE, ...] [ttl 30d]"


def keys(line: str, session: Session, terminal: Terminal) -> None:
    """`\\keys [USER]`: lists one's own API keys, or a user's."""
    name = arguments(line)
    path = f"/api/keys?user={_quoted(name)}" if name else "/api/user/keys"
    _show(_request(session, "GET", path), _KEY_COLUMNS, session, terminal)


def key(line: str, session: Session, terminal: Terminal) -> None:
    """`\\key NAME ...`: makes an API key, and shows it once."""
    content = _key_content(arguments(line))
    path = "/api/keys" if "user" in content else "/api/user/keys"
    made = _request(session, "POST", path, content)
    terminal.write(f"{made['key']}\nIt is not shown again. Its id is {made['id']}.\n")


def _key_content(text: str) -> dict[str, Any]:
    """Returns the body of the request for the key that *text* describes. Raises CommandFailed."""
    words = text.replace(",", " ").split()
    if not words:
        raise CommandFailed(f"usage: {_KEY_USAGE}")
    content: dict[str, Any] = {"name": words.pop(0)}
    grants: dict[str, str] = {}
    while words:
        word = words.pop(0).lower()
        if word == "for" and words:
            content["user"] = words.pop(0)
        elif word == "ttl" and words:
            content["ttlSeconds"] = _seconds(words.pop(0))
        elif word in ("read", "write", "all") and len(words) > 1 and words[0].lower() == "on":
            grants[words[1]] = word.upper()
            del words[:2]
        else:
            raise CommandFailed(f"usage: {_KEY_USAGE}")
    return content | ({"grants": grants} if grants else {})


def _seconds(text: str) -> int:
    """Returns the duration *text*, such as `30d`, in seconds. Raises CommandFailed."""
    if not (text[:-1].isascii() and text[:-1].isdigit() and text[-1] in _UNITS):
        raise CommandFailed(f"ttl {text}: expected a duration such as 30d")
    return int(text[:-1]) * _UNITS[text[-1]]


def revoke(line: str, session: Session, terminal: Terminal) -> None:
    """`\\revoke ID`: revokes an API key."""
    id = arguments(line)
    if not id.isdigit():
        raise CommandFailed("usage: \\revoke ID, a number that \\keys lists")
    _request(session, "DELETE", f"/api/keys/{id}")
    terminal.write(f"Key {id} is revoked.\n")


def sessions(line: str, session: Session, terminal: Terminal) -> None:
    """`\\sessions [USER]`: lists one's own sessions, or a user's."""
    name = arguments(line)
    path = f"/api/sessions?user={_quoted(name)}" if name else "/api/user/sessions"
    found = _request(session, "GET", path)
    _show(found["sessions"] if name else found, _SESSION_COLUMNS, session, terminal)


def logout(line: str, session: Session, terminal: Terminal) -> None:
    """`\\logout [USER]`: ends all sessions of oneself, or of a user."""
    name = arguments(line)
    if name:
        found = _request(session, "POST", "/api/sessions/revoke", {"users": [name]})
    else:
        found = _request(session, "DELETE", "/api/user/sessions")
    terminal.write(f"{found['revoked']} sessions ended.\n")


def _quoted(name: str) -> str:
    # Imported on demand: it would take a part of each start.
    from urllib.parse import quote

    return quote(name, safe="")


def _request(session: Session, method: str, path: str, content: Any = None) -> Any:
    """Returns the content of the response. Raises CommandFailed for an error."""
    answer = session.account_request(method, path, content)
    if answer is None:
        raise CommandFailed("this server has no accounts")
    status, found = answer
    if status >= 300:
        error = found.get("error") if isinstance(found, dict) else None
        raise CommandFailed(f"ERR: {error or f'status {status}'}")
    return found


def _show(
    rows: list[dict[str, Any]], columns: tuple[str, ...], session: Session, terminal: Terminal
) -> None:
    """Prints *rows* as a table of *columns*, in the session's format."""
    values = [[_cell(row[column]) for column in columns] for row in rows]
    response = Response([{"series": [{"columns": list(columns), "values": values}]}])
    terminal.write(render(response, session, hint=False))


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{privilege} on {on}" for on, privilege in value.items())
    return value if value is not None else ""
