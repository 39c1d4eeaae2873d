"""The command `insert`: writes a point in line protocol."""

import re

from headgate_shell.backends.base import Points
from headgate_shell.go_space import SPACE
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, Terminal

# influx skips these three white space characters here, and leaves others in the point.
_NAME_PATTERN = r'"(?:[^"\\]|\\.)*"|[^ \t\n".]'
# Compiled on first use: most scripts insert nothing.
_INTO_PATTERN = rf"(?i)into[ \t\n]+({_NAME_PATTERN}+)(?:\.({_NAME_PATTERN}*))?[ \t\n]+"
NO_WRITES = "the session of headgate login writes no points: use -password, or an API key as -token"
_NOTE = """\
Note: error may be due to not setting a database or retention policy.
Please set a database with the command "use <database>" or
INSERT INTO <database>.<retention-policy> <point>
"""


def insert(line: str, session: Session, terminal: Terminal) -> None:
    """`insert [into [database.]policy] POINT`: writes a point.

    A script continues after a point that the server rejects. Raises CommandFailed if the login is a
    session, which the server accepts for no write.
    """
    if session.connection.current_session is not None:
        raise CommandFailed(NO_WRITES)
    error = session.write(parse_insert(line, session))
    if error:
        # The server's error text ends with a line end of its own.
        terminal.write(f"ERR: {error}\n")
        if not session.database:
            terminal.write(_NOTE)


def parse_insert(line: str, session: Session) -> Points:
    """Returns the point of the command *line*, with the database and policy to write it to."""
    rest = line.lstrip(SPACE)[len("insert") :].lstrip(" \t\n")
    into = re.match(_INTO_PATTERN, rest)
    if into is None:
        return Points(rest, session.database, session.retention_policy)
    first, second = (_unquote(name) for name in into.groups())
    lines = rest[into.end() :]
    if second is None:
        return Points(lines, session.database, first or "")
    return Points(lines, first or "", second)


def _unquote(name: str | None) -> str | None:
    if name is None or not name.startswith('"'):
        return name
    return re.sub(r"\\(.)", r"\1", name[1:-1])
