"""The non-interactive shell: `-execute`, or statements from standard input."""

import sys

from headgate_shell.backends.base import ConnectionFailed
from headgate_shell.commands.dispatch import is_command, run_command
from headgate_shell.go_space import trim
from headgate_shell.output.render import render
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, ConnectCommandFailed, Exit, Terminal


def run_lines(text: str, session: Session) -> int:
    """Runs each line of *text*, a command or a query, until one fails; returns the exit status."""
    lines = [line for line in text.split("\n") if trim(line)]
    if not lines:
        print("empty input", file=sys.stderr)
        return 1
    terminal = Terminal(sys.stdout.write)
    for line in lines:
        try:
            if is_command(line):
                run_command(line, session, terminal)
                continue
        except Exit:
            return 0
        except ConnectCommandFailed as error:
            print(error, file=sys.stderr)
            return 1
        except (CommandFailed, ConnectionFailed) as error:
            print(f"ERR: {error}", file=sys.stderr)
            return 1
        if status := run_query(line, session):
            return status
    return 0


def run_query(text: str, session: Session) -> int:
    """Sends *text* as one query and prints the response; returns the exit status."""
    try:
        response = session.query(text)
    except ConnectionFailed as error:
        print(f"ERR: cannot reach {error}", file=sys.stderr)
        return 1
    sys.stdout.write(render(response, session))
    if response.first_error:
        sys.stdout.flush()
        print(response.first_error, file=sys.stderr)
        return 1
    return 0
