"""`headgate shell`: reads flags and environment, then runs a script or the interactive shell.

Scripts start it often, so prompt_toolkit is imported only for the interactive shell.
"""

import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from headgate_shell.backends.base import ConnectionFailed, ConnectionSettings, SavedLogin
from headgate_shell.commands.settings import set_precision
from headgate_shell.go_flags import FlagError, Value, parse_flags
from headgate_shell.script import run_lines, run_query
from headgate_shell.session import Session
from headgate_shell.terminal import Terminal

if TYPE_CHECKING:
    from headgate_shell.backends.store import OpenEngine

_DEFAULTS: dict[str, Value] = {
    "url": "",
    "profile": "",
    "host": "localhost",
    "port": 8086,
    "socket": "",
    "path-prefix": "",
    "store": "",
    "config": "",
    "token": "",
    "username": "",
    "password": "",
    "database": "",
    "execute": "",
    "yes": False,
    "import": False,
    "path": "",
    "compressed": False,
    "pps": 0,
    "type": "influxql",
    "node": 0,
    "format": "column",
    "precision": "ns",
    "consistency": "all",
    "pretty": False,
    "ssl": False,
    "unsafeSsl": False,
    "version": False,
    "help": False,
    "h": False,
}

# _SCRIPT_ADVICE is influx's text, which scripts may search for. The advice for terminals does not
# assume that the server is influxd.
_SCRIPT_ADVICE = "Please check your connection settings and ensure 'influxd' is running."
_INTERACTIVE_ADVICE = "Check -host, -port and -ssl, and whether the server is running there."

USAGE = """\
usage: headgate shell [flags]

  -url URL             the server: http://HOST:PORT, or https://HOST:PORT/PREFIX
  -profile NAME        the flags of [profiles.NAME] in shell.toml
  -host NAME           the server (localhost)
  -port NUMBER         its port (8086)
  -socket PATH         its Unix socket, instead of host and port
  -path-prefix PATH    prefix of all paths, for a server behind a proxy
  -store PATH          run statements on this store file, as an administrator, without a server
  -config PATH         with -store, the server's configuration file: the password rules
  -ssl                 use https
  -unsafeSsl           with https, do not verify the certificate
  -username NAME       the username (INFLUX_USERNAME)
  -password PASSWORD   the password (INFLUX_PASSWORD); '' prompts for it. On a command line it
                       is visible to all users of the machine
  -token TOKEN         a JSON Web Token instead of username and password (HEADGATE_TOKEN)
  -database NAME       database of the statements
  -execute TEXT        run statements and commands, one per line, and exit
  -import              import the file of -path: statements, `# DML`, lines of data
  -path FILE           an export of influx_inspect; with -compressed, gzip
  -pps NUMBER          limit an import to NUMBER points per second (0: no limit)
  -format FORMAT       column, csv or json (column)
  -pretty              indent JSON
  -precision UNIT      rfc3339, h, m, s, ms, u or ns (ns)
  -consistency LEVEL   any, one, quorum or all, for writes (all)
  -node NUMBER         send requests to that node of a cluster
  -yes                 do not ask for confirmation
  -type LANGUAGE       only influxql
  -version             print the version and exit
  -help                print this text and exit

Without a login, the session of `headgate login` is used, if there is one for this server.
Without -execute, statements are read from standard input. If that is a terminal, the shell is
interactive.
"""


def main(
    arguments: Sequence[str],
    open_engine: "OpenEngine",
    saved_session: Callable[[str, str], SavedLogin | None] = lambda url, user: None,
    other_session: Callable[[str], str] = lambda url: "",
) -> int:
    """Runs the shell and returns the exit status.

    The status is 0 on success, 1 if a statement or the connection failed, and 2 for invalid flags.

    *open_engine* is called only for the flag `-store`. It returns an engine that executes
    statements on the store file, with the password rules of a configuration file. *saved_session*
    returns the session of `headgate login` at a URL, of a user or ("") of any, or raises
    ValueError. *other_session* returns the URL of a session at the same machine, or "".
    """
    # Names may have any Unicode characters, also where the locale is not UTF-8.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    try:
        given, rest = parse_flags(arguments, _DEFAULTS)
        if "url" in given or "profile" in given:
            # Imported on demand: scripts written for influx have neither.
            from headgate_shell.profiles import with_profile

            given = with_profile(given)
    except FlagError as error:
        print(error, file=sys.stderr)
        print(USAGE, end="", flush=True)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return 2
    flags = _DEFAULTS | given
    if flags["help"] or flags["h"]:
        print(USAGE, end="")
        return 0
    if flags["version"]:
        print(f"InfluxDB shell version: {_version()}")
        return 0
    if flags["type"] != "influxql":
        language = flags["type"]
        print(f'invalid value "{language}" for flag -type: expected influxql', file=sys.stderr)
        print(USAGE, end="")
        return 2
    if rest:
        print(f"unknown arguments: {' '.join(rest)}", file=sys.stderr)
        print(USAGE, end="")
        return 1
    session = _build_session(flags, given)
    if given.get("password") == "" and not _prompt_password(session):
        return 1
    connection = session.connection
    may_use_session = "password" not in given and not (
        flags["store"] or connection.password or connection.token or connection.socket
    )
    if may_use_session:
        try:
            saved = saved_session(connection.session_url, connection.username)
        except ValueError as error:
            print(f"headgate: {error}", file=sys.stderr)
            return 1
        if saved is not None:
            session.connection = connection._replace(session=saved, username="")
    if flags["store"]:
        from headgate_shell.backends.store import run_on_store

        engine = partial(open_engine, config=str(flags["config"]) or None)
        path = str(flags["store"])
        return run_on_store(path, engine, session, lambda: _run_session(session, flags, given))
    status = _run_session(session, flags, given)
    if status and may_use_session and not (connection.username or session.connection.session):
        if near := other_session(connection.session_url):
            print(f"headgate: there is a session at {near}: see -url", file=sys.stderr)
    return status


def _prompt_password(session: Session) -> bool:
    if not sys.stdin.isatty():
        print("unable to prompt for a password with no TTY", file=sys.stderr)
        return False
    from getpass import getpass

    try:
        password = getpass("password: ")
    except EOFError:
        print("no password given", file=sys.stderr)
        return False
    session.connection = session.connection._replace(password=password)
    return True


def _run_session(session: Session, flags: dict[str, Value], given_flags: dict[str, Value]) -> int:
    try:
        session.server_version = session.ping()
    except ConnectionFailed as error:
        url = f"{session.connection.url}/ping"
        print(
            f'Failed to connect to {session.display_name}: Get "{url}": {error.cause}',
            file=sys.stderr,
        )
        print(_INTERACTIVE_ADVICE if sys.stderr.isatty() else _SCRIPT_ADVICE, file=sys.stderr)
        return 1
    set_precision(str(flags["precision"]), session, Terminal(sys.stdout.write))
    if flags["execute"]:
        return run_lines(str(flags["execute"]), session)
    if flags["import"]:
        from headgate_shell.commands.import_file import import_file

        compressed, points_per_second = bool(flags["compressed"]), int(flags["pps"])
        return import_file(
            str(flags["path"]), session, compressed=compressed, points_per_second=points_per_second
        )
    if not sys.stdin.isatty():
        return run_query(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"), session)
    from headgate_shell.interactive.loop import interact

    return interact(session, confirm=not flags["yes"], keep_format="format" in given_flags)


def _build_session(flags: dict[str, Value], given_flags: dict[str, Value]) -> Session:
    environment = os.environ
    login_flag_given = (
        "username" in given_flags or "password" in given_flags
    )  # flags override the environment
    connection = ConnectionSettings(
        host=str(flags["host"]).removeprefix("[").removesuffix("]") or "localhost",
        port=int(flags["port"]),
        socket=str(flags["socket"]),
        ssl=bool(flags["ssl"]),
        unsafe_ssl=bool(flags["unsafeSsl"]),
        path_prefix=str(flags["path-prefix"]),
        username=str(flags["username"]) or environment.get("INFLUX_USERNAME", ""),
        password=str(flags["password"]) or environment.get("INFLUX_PASSWORD", ""),
        token=str(flags["token"])
        or ("" if login_flag_given else environment.get("HEADGATE_TOKEN", "")),
    )
    session = Session(
        connection,
        database=str(flags["database"]),
        format=str(flags["format"]),
        pretty=bool(flags["pretty"]),
        consistency=str(flags["consistency"]),
        node=int(flags["node"]),
    )
    session.to_terminal = sys.stdout.isatty()
    return session


def _version() -> str:
    from importlib.metadata import version

    return version("headgate")
