"""`headgate shell`: flags and environment to a session, then a script or a person.

Imports no prompt_toolkit unless there is a person: scripts start it often.
"""

import io
import os
import sys
from collections.abc import Sequence

from headgate_shell.client import CannotReach, ping
from headgate_shell.commands import Terminal, set_precision
from headgate_shell.flags import FlagError, Value, parse_flags
from headgate_shell.script import execute, run
from headgate_shell.session import Session

_DEFAULTS: dict[str, Value] = {
    "host": "localhost",
    "port": 8086,
    "socket": "",
    "username": "",
    "password": "",
    "database": "",
    "execute": "",
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

USAGE = """\
usage: headgate shell [flags]

  -host NAME           server to talk to (localhost)
  -port NUMBER         its port (8086)
  -socket PATH         its unix socket, instead of host and port
  -ssl                 use https
  -unsafeSsl           with https, do not check the certificate
  -username NAME       who logs in (INFLUX_USERNAME)
  -password PASSWORD   with '' it is asked for (INFLUX_PASSWORD); on a command line it is
                       visible to every user of the machine
  -database NAME       database of the statements
  -execute TEXT        run statements and commands, one a line, and leave
  -format FORMAT       column, csv or json (column)
  -pretty              indent JSON
  -precision UNIT      rfc3339, h, m, s, ms, u or ns (ns)
  -consistency LEVEL   any, one, quorum or all, for writes (all)
  -version             print the version and leave
  -help                print this text and leave

Without -execute, statements are read from standard input; if that is a terminal, from you.
"""


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0, 1 if a statement or the connection failed, 2 for wrong flags."""
    # Names may be in any script, whatever the locale says of the terminal.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    try:
        flags, rest = parse_flags(arguments, _DEFAULTS)
    except FlagError as error:
        print(error, file=sys.stderr)
        print(USAGE, end="")
        return 2
    if flags["help"] or flags["h"]:
        print(USAGE, end="")
        return 0
    if flags["version"]:
        print(f"InfluxDB shell version: {_version()}")
        return 0
    if rest:
        print(f"unknown arguments: {' '.join(rest)}", file=sys.stderr)
        print(USAGE, end="")
        return 1
    session = _session(flags)
    if _wants_prompt(arguments):
        if not sys.stdin.isatty():
            print("unable to prompt for a password with no TTY", file=sys.stderr)
            return 1
        from getpass import getpass

        try:
            session.password = getpass("password: ")
        except EOFError:
            print("no password given", file=sys.stderr)
            return 1
    return _connect(session, str(flags["precision"]), str(flags["execute"]))


def _connect(session: Session, precision: str, text: str) -> int:
    try:
        session.server_version = ping(session)
    except CannotReach as error:
        print(f"Failed to connect to {error}", file=sys.stderr)
        print("Check -host and -port, and that the server is running.", file=sys.stderr)
        return 1
    set_precision(precision, session, Terminal(sys.stdout.write))
    if text:
        return execute(text, session)
    if not sys.stdin.isatty():
        return run(sys.stdin.buffer.read().decode("utf-8", "surrogateescape"), session)
    from headgate_shell.interactive import interact

    return interact(session)


def _session(flags: dict[str, Value]) -> Session:
    environment = os.environ
    return Session(
        host=str(flags["host"]).removeprefix("[").removesuffix("]") or "localhost",
        port=int(flags["port"]),
        socket=str(flags["socket"]),
        ssl=bool(flags["ssl"]),
        unsafe_ssl=bool(flags["unsafeSsl"]),
        username=str(flags["username"]) or environment.get("INFLUX_USERNAME", ""),
        password=str(flags["password"]) or environment.get("INFLUX_PASSWORD", ""),
        database=str(flags["database"]),
        format=str(flags["format"]),
        pretty=bool(flags["pretty"]),
        consistency=str(flags["consistency"]),
    )


def _wants_prompt(arguments: Sequence[str]) -> bool:
    """Whether `-password` is given, and empty: a wish to be asked."""
    words = list(arguments)
    for index, word in enumerate(words):
        name, equals, text = word.lstrip("-").partition("=")
        if word.startswith("-") and name == "password":
            following = words[index + 1] if index + 1 < len(words) else ""
            return not (text if equals else following)
    return False


def _version() -> str:
    from importlib.metadata import version

    return version("headgate")
