"""The commands `auth`, `connect` and `\\password`: the login and the server of a session."""

from headgate_shell.backends.base import CannotReach
from headgate_shell.go_space import arguments, fields
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, ConnectFailed, Terminal


def auth(line: str, session: Session, terminal: Terminal) -> None:
    """`auth [USER PASSWORD]`: changes the login; prompts for what is missing.

    If `terminal.checks`, the login is tried first, and a refused login changes nothing.
    """
    words = fields(line)
    if len(words) == 3:
        login: tuple[str, str] | None = (words[1], words[2])
    elif terminal.login is None:
        raise CommandFailed("auth: no terminal to prompt for username and password")
    else:
        login = terminal.login()
    if login is None:
        terminal.write("ERR: no login given, nothing changed\n")
        return
    asked = session.but(
        connection=session.connection._replace(username=login[0], password=login[1], token="")
    )
    if terminal.checks:
        # Tried with a copy: after an error or Ctrl-C the session is unchanged.
        if wrong := wrong_login(asked):
            terminal.write(f"ERR: {wrong}\n")
            return
        terminal.write(f"Logged in as {asked.connection.username}\n")
    session.connection = asked.connection


def wrong_login(session: Session) -> str:
    """Returns the server's error for the session's login, or "". Raises CannotReach."""
    response = session.query("SHOW DATABASES")
    # Until an administrator exists, the server answers every login with this error.
    return "" if "create admin user first" in response.error else response.error


def new_password(line: str, session: Session, terminal: Terminal) -> None:
    """`\\password [USER]`: prompts for a new password twice, without echo, and sets it."""
    name = arguments(line) or session.connection.username
    if not name:
        raise CommandFailed("\\password: expected a username: \\password USER")
    if terminal.new_password is None:
        raise CommandFailed("\\password: no terminal to prompt for the password")
    # Imported on demand: the grammar takes long to load.
    from headgate_shell.statements import set_password

    password = terminal.new_password()
    if password is None:
        terminal.write("ERR: no password given, nothing changed\n")
        return
    response = session.query(set_password(name, password))
    if error := response.first_error:
        terminal.write(f"ERR: {with_name(error, name)}\n")
        return
    if name == session.connection.username:
        session.connection = session.connection._replace(password=password)
    terminal.write(f"New password set for {name}\n")


def with_name(error: str, name: str) -> str:
    """Appends the user *name* to InfluxDB's *error* `user not found`, which lacks it."""
    return f"{error}: {name}" if error == "user not found" else error


def connect(line: str, session: Session, terminal: Terminal) -> None:
    """`connect [HOST[:PORT]]`: changes the server if the new one responds, else raises.

    influx, by contrast, loses its previous server. Raises CannotReach, in a script ConnectFailed.
    """
    words = fields(arguments(line))
    there = session.but()
    if words:
        host, port = _place(words[0])
        there.connection = session.connection._replace(host=host, port=port, socket="")
    try:
        there.server_version = there.ping()
    except CannotReach as error:
        if terminal.checks:
            raise
        raise ConnectFailed(there.connection.url, error.cause) from None
    session.connection = there.connection
    session.server_version = there.server_version
    if terminal.checks:
        version = session.server_version or "(unknown)"
        terminal.write(f"Connected to {session.where} version {version}\n")


def _place(text: str) -> tuple[str, int]:
    """Returns host and port of `host`, `host:port`, `[::1]:port` or `::1`."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text.removeprefix("[").removesuffix("]"), 8086
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        raise CommandFailed(f"connect: {text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "localhost", int(port)
