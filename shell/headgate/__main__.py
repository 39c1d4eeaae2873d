"""`headgate COMMAND ...`: runs a command, and imports only the package that implements it."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from headgate.commands import COMMANDS, usage
from headgate.core_dumps import forbid_core_dumps
from headgate_shell.output.control_characters import escape_terminal_output
from headgate_shell.standard_streams import reopen_closed_streams


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


def run(words: Sequence[str]) -> int:
    """Runs the command in *words*, its name and its arguments, and returns its exit status.

    Reads and writes the standard streams as they are. Raises SystemExit for wrong flags.
    """
    name, arguments = (words[0] if words else ""), list(words[1:])
    if name in ("-h", "-help", "--help", "help"):
        print(usage(), end="")
        return 0
    if name in ("-version", "--version", "version"):
        from importlib.metadata import version

        print(f"headgate {version('headgate')}")
        return 0
    if name not in COMMANDS:
        sys.stderr.write(_unknown_command(name) if name else usage())
        return 2
    if name == "serve":
        # The import below takes time. A signal to stop during it must end with status 0.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    status: int = import_module(f"headgate.{COMMANDS[name].module}").main(arguments)
    return status


def _unknown_command(name: str) -> str:
    from headgate.flags import did_you_mean

    if near := did_you_mean(name, COMMANDS):
        return f"headgate: unknown command {name!r}{near}\n"
    return "headgate: unknown command; `headgate help` lists the commands\n"  # it may be a secret


if __name__ == "__main__":
    sys.exit(main())
