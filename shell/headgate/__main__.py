"""`headgate COMMAND ...`: imports the room that the command belongs to, and no other."""

import os
import signal
import sys
from typing import TYPE_CHECKING

from headgate.core_dumps import forbid_core_dumps
from headgate_shell.output.control_characters import guard_terminals

if TYPE_CHECKING:
    from headgate_engine import Engine, SqliteStore

_USAGE = """\
usage: headgate COMMAND ...

commands:
  serve    serve InfluxDB 1.x's HTTP API over a store of users, grants and databases
  shell    talk to a server: interactively, or as a script does with influx
  store    check, back up or restore a store file
  admin    the way back in, on a store file: a new password, the admin flag
  token    make a token, or see what the server would say of one, and why
  sync     take the databases of the store behind us into the catalogue
  audit    who changed what, or was refused, when, from where

`headgate COMMAND -help` tells more.
"""


def main() -> int:
    """The exit status of the command; 130 after Ctrl-C, 141 if nobody reads the output any more."""
    forbid_core_dumps()
    # Python's own colours, which need no other guard, would become visible.
    os.environ["PYTHON_COLORS"] = "0"
    guard_terminals()
    try:
        status = _run()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Python would flush once more at the end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # The output cannot be written: a full disk, for instance.
        print(f"headgate: {error.strerror or error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _open_engine(store: "SqliteStore", *, config: str | None) -> "Engine":
    # Only here: most shells have a server, and must start fast.
    from headgate.configured_engine import open_engine

    return open_engine(store, config=config)


def _run() -> int:
    command, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    match command:
        case "serve":
            # To load the room takes its time; a server that is told to end meanwhile ends well.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: os._exit(0))
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            from headgate.serve import main as serve

            return serve(arguments)
        case "shell":
            from headgate_shell.cli import main as shell

            return shell(arguments, _open_engine)
        case "store":
            from headgate.store import store_main

            return store_main(arguments)
        case "admin":
            from headgate.admin import main as admin

            return admin(arguments)
        case "token":
            from headgate.token import main as token

            return token(arguments)
        case "sync":
            from headgate.sync import main as sync

            return sync(arguments)
        case "audit":
            from headgate.store import audit_main

            return audit_main(arguments)
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
