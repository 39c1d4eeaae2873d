"""The shell's own commands: everything that is not sent to the server."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from headgate_shell.client import query
from headgate_shell.session import Session

HELP = """\
Commands:
  auth [<user> <password>]   log in as somebody else; asks for what is not given
  use <database>[.<policy>]  set the database, and the retention policy, of what follows
  clear database|db          forget the database; clear retention policy|rp: only the policy
  format column|csv|json     how answers are shown
  pretty                     indent JSON, or stop it
  precision <unit>           how times are shown: rfc3339, h, m, s, ms, u or ns
  settings                   show what is set
  help                       this text
  exit, quit, Ctrl-D         leave

Everything else is InfluxQL and goes to the server, for instance:
  CREATE USER todd WITH PASSWORD 'secret'
  GRANT READ ON telegraf TO todd
  SHOW GRANTS FOR todd
"""

PRECISIONS = ("rfc3339", "h", "m", "s", "ms", "u", "ns")
FORMATS = ("json", "csv", "column")

_CLEAR_HELP = """\
Possible commands for 'clear' are:
    # Clear the database context
    clear database
    clear db

    # Clear the retention policy context
    clear retention policy
    clear rp
\t\t
"""


@dataclass(frozen=True, slots=True)
class Terminal:
    """What commands need of the person: to write, and to ask for a login.

    *login* gives name and password, or None if he gave up; it is None itself where nobody can be
    asked. *checks* is whether a login is tried at once.
    """

    write: Callable[[str], object]
    login: Callable[[], tuple[str, str] | None] | None = None
    checks: bool = False


class Leave(Exception):
    """The person wants to leave the shell."""


class CommandFailed(Exception):
    """A command that cannot be done, in a way that ends a script."""


def is_command(line: str) -> bool:
    """Whether *line* is one of the shell's own commands."""
    return _word(line) in _COMMANDS


def run_command(line: str, session: Session, terminal: Terminal) -> None:
    """Does what *line* says. Raises Leave, CommandFailed and CannotReach."""
    _COMMANDS[_word(line)](line.strip(), session, terminal)


def _word(line: str) -> str:
    words = line.split(maxsplit=1)
    return words[0].rstrip(";").lower() if words else ""


def _help(line: str, session: Session, terminal: Terminal) -> None:
    terminal.write(HELP)


def _leave(line: str, session: Session, terminal: Terminal) -> None:
    raise Leave


def _auth(line: str, session: Session, terminal: Terminal) -> None:
    words = line.split()
    if len(words) == 3:
        login: tuple[str, str] | None = (words[1], words[2])
    elif terminal.login is None:
        raise CommandFailed("auth: no terminal to ask for username and password")
    else:
        login = terminal.login()
    if login is None:
        terminal.write("ERR: no login given, nothing changed\n")
        return
    asked = replace(session, username=login[0], password=login[1])
    if terminal.checks:
        # On a session of its own: whatever goes wrong, or is aborted, nothing has changed.
        if wrong := _wrong_login(asked):
            terminal.write(f"ERR: {wrong}\n")
            return
        terminal.write(f"Logged in as {asked.username}\n")
    session.username, session.password = login


def _wrong_login(session: Session) -> str:
    """Why the server refuses the session's login, "" if it does not."""
    response = query(session, "SHOW DATABASES")
    # While there is no administrator yet, every login is as good as another.
    return "" if "create admin user first" in response.error else response.error


def _use(line: str, session: Session, terminal: Terminal) -> None:
    words = line.removesuffix(";").split(maxsplit=1)
    if len(words) < 2:
        terminal.write(f'Could not parse database name from "{line}".\n')
        return
    database, dot, policy = words[1].replace('"', "").partition(".")
    if "." in policy:
        terminal.write(f"Unable to parse database or retention policy from {words[1]}")
        return
    response = query(session, "SHOW DATABASES")
    if response.first_error:
        if not session.username or terminal.checks:
            terminal.write(f"ERR: {response.first_error}\nDB does not exist!\n")
            return
        terminal.write(f"WARN: {response.first_error}\n")
    elif database not in _names(response.results):
        terminal.write(
            f"ERR: Database {database} doesn't exist."
            " Run SHOW DATABASES for a list of existing databases.\nDB does not exist!\n"
        )
        return
    session.database = database
    session.retention_policy = ""
    terminal.write(f"Using database {database}\n")
    if dot and policy:
        _use_policy(policy, session, terminal)


def _use_policy(policy: str, session: Session, terminal: Terminal) -> None:
    quoted = session.database.replace("\\", "\\\\").replace('"', '\\"')
    response = query(session, f'SHOW RETENTION POLICIES ON "{quoted}"')
    if policy in _names(response.results):
        session.retention_policy = policy
        terminal.write(f"Using retention policy {policy}\n")
    else:
        terminal.write(
            f"ERR: RETENTION POLICY {policy} doesn't exist. Run SHOW RETENTION POLICIES ON"
            f' "{session.database}" for a list of existing retention polices.\n'
        )


def _names(results: list[dict[str, object]]) -> set[object]:
    """The first column of all rows."""
    rows = (
        row
        for result in results
        for series in result.get("series", ())  # type: ignore[attr-defined]  # JSON from a server
        for row in series.get("values", ())
    )
    return {row[0] for row in rows}


def _clear(line: str, session: Session, terminal: Terminal) -> None:
    what = " ".join(line.removesuffix(";").lower().split()[1:])
    match what:
        case "database" | "db":
            session.database = session.retention_policy = ""
            terminal.write("database context cleared\n")
        case "retention policy" | "rp":
            session.retention_policy = ""
            terminal.write("retention policy context cleared\n")
        case "":
            terminal.write(_CLEAR_HELP)
        case _:
            terminal.write(f'invalid command "{what}".\n{_CLEAR_HELP}')


def _argument(line: str) -> str:
    return " ".join(line.removesuffix(";").lower().split()[1:])


def _format(line: str, session: Session, terminal: Terminal) -> None:
    format = _argument(line)
    if format in FORMATS:
        session.format = format
    else:
        terminal.write(f'Unknown format "{format}". Please use json, csv, or column.\n')


def set_precision(precision: str, session: Session, terminal: Terminal) -> None:
    """Sets how times are shown, or says that there is no such unit."""
    if precision in PRECISIONS:
        session.precision = precision
    else:
        terminal.write(
            f'Unknown precision "{precision}". Please use rfc3339, h, m, s, ms, u or ns.\n'
        )


def _precision(line: str, session: Session, terminal: Terminal) -> None:
    set_precision(_argument(line), session, terminal)


def _pretty(line: str, session: Session, terminal: Terminal) -> None:
    session.pretty = not session.pretty
    terminal.write(f"Pretty print {'enabled' if session.pretty else 'disabled'}\n")


def _settings(line: str, session: Session, terminal: Terminal) -> None:
    rows = {
        "Setting": "Value",
        "--------": "--------",
        "URL": session.url,
        "Username": session.username,
        "Database": session.database,
        "RetentionPolicy": session.retention_policy,
        "Pretty": str(session.pretty).lower(),
        "Format": session.format,
        "Write Consistency": session.consistency,
        "Chunked": "true",
        "Chunk Size": "0",
    }
    terminal.write("".join(f"{name:<18}{value}\n" for name, value in rows.items()) + "\n")


_COMMANDS: dict[str, Callable[[str, Session, Terminal], None]] = {
    "auth": _auth,
    "use": _use,
    "clear": _clear,
    "format": _format,
    "precision": _precision,
    "pretty": _pretty,
    "settings": _settings,
    "help": _help,
    "exit": _leave,
    "quit": _leave,
}
