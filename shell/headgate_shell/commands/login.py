"""The commands `auth`, `connect` and `\\password`: the login and the server of a session."""

from headgate_shell.backends.base import ConnectionFailed
from headgate_shell.go_space import arguments, split_words
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, ConnectCommandFailed, Terminal


def auth(line: str, session: Session, terminal: Terminal) -> None:
    """`auth [USER PASSWORD]`: changes the login; prompts for a missing user or password.

    If `terminal.interactive`, the login is tried first, and a rejected login changes nothing.
    """
    words = split_words(line)
    if len(words) == 3:
        login: tuple[str, str] | None = (words[1], words[2])
    elif terminal.prompt_login is None:
        raise CommandFailed("auth: no terminal to prompt for username and password")
    else:
        login = terminal.prompt_login()
    if login is None:
        terminal.write("ERR: no login given, nothing changed\n")
        return
    candidate = session.copy_with(
        connection=session.connection._replace(username=login[0], password=login[1], token="")
    )
    if terminal.interactive:
        # Tried with a copy: after an error or Ctrl-C the session is unchanged.
        if error := login_error(candidate):
            terminal.write(f"ERR: {error}\n")
            return
        terminal.write(f"Logged in as {candidate.connection.username}\n")
    session.connection = candidate.connection


def login_error(session: Session) -> str:
    """Tries the session's login; returns the server's error, or "". Raises ConnectionFailed."""
    response = session.query("SHOW DATABASES")
    # Until an administrator exists, the server answers every login with this error.
    return "" if "create admin user first" in response.error else response.error


def change_password(line: str, session: Session, terminal: Terminal) -> None:
    """`\\password [USER]`: prompts for a new password twice, without echo, and sets it."""
    name = arguments(line) or session.connection.username
    if not name:
        raise CommandFailed("\\password: expected a username: \\password USER")
    if terminal.prompt_new_password is None:
        raise CommandFailed("\\password: no terminal to prompt for the password")
    # Imported on demand: the grammar takes long to load.
    from headgate_shell.statements import set_password

    password = terminal.prompt_new_password()
    if password is None:
        terminal.write("ERR: no password given, nothing changed\n")
        return
    # A user's own password is set with the password of the session: SET PASSWORD is for
    # administrators, and its denial would be in the audit.
    own = name == session.connection.username and session.connection.password
    error = session.change_own_password(password) if own else None
    if error is None:
        error = session.query(set_password(name, password)).first_error
    if error:
        terminal.write(f"ERR: {with_username(error, name)}\n")
        return
    if name == session.connection.username:
        session.connection = session.connection._replace(password=password)
    terminal.write(f"New password set for {name}\n")


def with_username(error: str, name: str) -> str:
    """Returns *error*, with *name* appended if it is InfluxDB's `user not found`."""
    return f"{error}: {name}" if error == "user not found" else error


def connect(line: str, session: Session, terminal: Terminal) -> None:
    """`connect [HOST[:PORT]]`: uses another server for later statements if that server responds.

    Otherwise the session keeps its server, and the function raises ConnectionFailed, or
    ConnectCommandFailed in a script. influx, InfluxDB's own shell, loses its server instead.
    """
    words = split_words(arguments(line))
    candidate = session.copy_with()
    if words:
        host, port = _parse_address(words[0])
        candidate.connection = session.connection._replace(host=host, port=port, socket="")
    try:
        candidate.server_version = candidate.ping()
    except ConnectionFailed as error:
        if terminal.interactive:
            raise
        raise ConnectCommandFailed(candidate.connection.url, error.cause) from None
    session.connection = candidate.connection
    session.server_version = candidate.server_version
    if terminal.interactive:
        version = session.server_version or "(unknown)"
        terminal.write(f"Connected to {session.display_name} version {version}\n")


def _parse_address(text: str) -> tuple[str, int]:
    """Returns host and port of `host`, `host:port`, `[::1]:port` or `::1`; 8086 if none."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text.removeprefix("[").removesuffix("]"), 8086
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        raise CommandFailed(f"connect: {text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "localhost", int(port)
