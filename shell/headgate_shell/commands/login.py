"""The commands `auth` and `connect`: who one is, and where."""

from headgate_shell.backends.base import CannotReach
from headgate_shell.go_space import arguments, fields
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, ConnectFailed, Terminal


def auth(line: str, session: Session, terminal: Terminal) -> None:
    """Logs in as somebody else; a person is told whether that is right."""
    words = fields(line)
    if len(words) == 3:
        login: tuple[str, str] | None = (words[1], words[2])
    elif terminal.login is None:
        raise CommandFailed("auth: no terminal to ask for username and password")
    else:
        login = terminal.login()
    if login is None:
        terminal.write("ERR: no login given, nothing changed\n")
        return
    asked = session.but(username=login[0], password=login[1], token="")
    if terminal.checks:
        # On a session of its own: whatever goes wrong, or is aborted, nothing has changed.
        if wrong := wrong_login(asked):
            terminal.write(f"ERR: {wrong}\n")
            return
        terminal.write(f"Logged in as {asked.username}\n")
    session.username, session.password = login
    session.token = ""


def wrong_login(session: Session) -> str:
    """Why the server refuses the session's login, "" if it does not. Raises CannotReach."""
    response = session.query("SHOW DATABASES")
    # While there is no administrator yet, every login is as good as another.
    return "" if "create admin user first" in response.error else response.error


def new_password(line: str, session: Session, terminal: Terminal) -> None:
    """`\\password [USER]`: asks for it twice, and shows it nowhere."""
    name = arguments(line) or session.username
    if not name:
        raise CommandFailed("\\password: whose? \\password USER")
    if terminal.new_password is None:
        raise CommandFailed("\\password: no terminal to ask for it")
    # Only here, for the grammar takes its time to load.
    from headgate_shell.statements import set_password

    password = terminal.new_password()
    if password is None:
        terminal.write("ERR: no password given, nothing changed\n")
        return
    response = session.query(set_password(name, password))
    if error := response.first_error:
        terminal.write(f"ERR: {with_name(error, name)}\n")
        return
    if name == session.username:
        session.password = password
    terminal.write(f"New password set for {name}\n")


def with_name(error: str, name: str) -> str:
    """InfluxDB's *error* about the user *name*, with the name, which InfluxDB leaves out."""
    return f"{error}: {name}" if error == "user not found" else error


def connect(line: str, session: Session, terminal: Terminal) -> None:
    """Goes to another server, if there is one; else stays. influx forgets where it was."""
    words = fields(arguments(line))
    host, port = _place(words[0]) if words else (session.host, session.port)
    there = session.but(host=host, port=port, socket="" if words else session.socket)
    try:
        there.server_version = there.ping()
    except CannotReach as error:
        if terminal.checks:
            raise
        raise ConnectFailed(there.url, error.cause) from None
    session.host, session.port, session.socket = there.host, there.port, there.socket
    session.server_version = there.server_version
    if terminal.checks:
        version = session.server_version or "(it does not say)"
        terminal.write(f"Connected to {session.where} version {version}\n")


def _place(text: str) -> tuple[str, int]:
    """Host and port of `host`, `host:port`, `[::1]:port` or `::1`."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text.removeprefix("[").removesuffix("]"), 8086
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        raise CommandFailed(f"connect: {text!r} is no HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or "localhost", int(port)
