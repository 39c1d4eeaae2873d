"""`headgate COMMAND ...`: runs a command, and imports only the package that implements it."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headgate.core_dumps import forbid_core_dumps
from headgate_shell.output.control_characters import escape_terminal_output
from headgate_shell.standard_streams import reopen_closed_streams

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from headgate.saved_sessions import RotatingSession
    from headgate_engine import Engine

_USAGE = """\
usage: headgate COMMAND ...

commands:
  init     create a user store with its first administrator
  serve    serve InfluxDB 1.x's HTTP API over a store of users, grants and databases
  login    sign in to a server, for the commands that use one
  logout   end the session of login
  shell    send statements to a server, interactively or from scripts written for influx
  store    check, back up or restore a store file
  admin    recover access on a store file: set a password, make a user an administrator
  user     list, add, disable and enable users on a store file
  key      make, list, rotate and revoke API keys on a store file
  session  list and end sessions on a store file
  token    create a token, or explain whether the server would accept one
  ldap     try the login of a user in a directory; give all users their rights there
  sso      try the settings of a provider, and what claims give
  import   take users from an InfluxDB's meta.db, or a Pyroscope's pyroscope.db
  export   write them as a meta.db, or as a file for apply
  apply    make a store file match a file of users, grants and databases
  access   list which user may do what on which database
  can      say whether a user may execute a query, and why
  sync     import the upstream's databases into the catalog
  audit    list changes and denied attempts: time, user, address, outcome

`headgate COMMAND -help` lists the flags of a command.
"""


def main() -> int:
    """Runs the command and returns its exit status.

    The status is 130 after Ctrl-C, and 141 if the program that reads its output has exited.
    """
    forbid_core_dumps()
    reopen_closed_streams()
    # `escape_terminal_output` would make the escape sequences of Python's own colours visible.
    os.environ["PYTHON_COLORS"] = "0"
    escape_terminal_output()
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Python flushes standard output again at exit, and would print the same error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # Standard output cannot be written, for example because the disk is full.
        print(f"headgate: {error.strerror or error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _open_engine(location: str, *, config: str | None) -> "AbstractContextManager[Engine]":
    # Imported on demand: a shell with a server does not need the engine, and must start fast.
    from headgate.configured_engine import opened_engine

    return opened_engine(location, config=config)


def _saved_session(url: str) -> "RotatingSession | None":
    # Imported on demand, for a shell without another login.
    from headgate.saved_sessions import saved_session

    return saved_session(url)


def run(words: Sequence[str]) -> int:
    """Runs the command in *words*, its name and its arguments, and returns its exit status.

    Reads and writes the standard streams as they are. Raises SystemExit for wrong flags.
    """
    command, arguments = (words[0] if words else ""), list(words[1:])
    match command:
        case "serve":
            # The import below takes time. A signal to stop during it must end with status 0.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: os._exit(0))
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            from headgate.serve import main as serve

            return serve(arguments)
        case "init":
            from headgate.init import main as init

            return init(arguments)
        case "shell":
            from headgate_shell.cli import main as shell

            return shell(arguments, _open_engine, _saved_session)
        case "login":
            from headgate.login import main as login

            return login(arguments)
        case "logout":
            from headgate.logout import main as logout

            return logout(arguments)
        case "store":
            from headgate.store import main as store

            return store(arguments)
        case "admin":
            from headgate.admin import main as admin

            return admin(arguments)
        case "user":
            from headgate.user import main as user

            return user(arguments)
        case "key":
            from headgate.key import main as key

            return key(arguments)
        case "session":
            from headgate.login_session import main as session

            return session(arguments)
        case "token":
            from headgate.token import main as token

            return token(arguments)
        case "sso":
            from headgate.sso import main as sso

            return sso(arguments)
        case "ldap":
            from headgate.ldap import main as ldap

            return ldap(arguments)
        case "import":
            from headgate.import_influxdb import main as import_influxdb

            return import_influxdb(arguments)
        case "apply":
            from headgate.apply import main as apply

            return apply(arguments)
        case "export":
            from headgate.export import main as export

            return export(arguments)
        case "access":
            from headgate.access import main as access

            return access(arguments)
        case "can":
            from headgate.can import main as can

            return can(arguments)
        case "sync":
            from headgate.sync import main as sync

            return sync(arguments)
        case "audit":
            from headgate.audit import main as audit

            return audit(arguments)
        case "-h" | "-help" | "--help" | "help":
            print(_USAGE, end="")
            return 0
        case "-version" | "--version" | "version":
            from importlib.metadata import version

            print(f"headgate {version('headgate')}")
            return 0
        case _:
            sys.stderr.write(
                f"headgate: unknown command {command!r}\n{_USAGE}" if command else _USAGE
            )
            return 2


if __name__ == "__main__":
    sys.exit(main())
