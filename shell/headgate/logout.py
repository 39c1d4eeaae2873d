"""`headgate logout`: ends the session that `headgate login` keeps, at the server and here."""

import argparse
import sys
from collections.abc import Sequence
from http import HTTPStatus

from headgate.flags import CommandParser
from headgate.saved_sessions import RotatingSession, SavedSessions
from headgate.server_url import connection_to
from headgate.store_file import guarded, print_line
from headgate_shell.backends.base import ConnectionFailed
from headgate_shell.backends.http import HttpBackend

_DEFAULT_URL = "http://localhost:8086"
_ENDED = (HTTPStatus.NO_CONTENT, HTTPStatus.UNAUTHORIZED)


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate logout`."""
    parser = CommandParser(prog="headgate logout", description="End the session of headgate login.")
    which = parser.add_mutually_exclusive_group()
    url = which.add_argument("url", metavar="URL", nargs="?", help=f"default: {_DEFAULT_URL}")
    end_all = which.add_argument(
        "--all", action="store_true", help="end the sessions at all servers"
    )
    parser.record(url)
    parser.record(end_all)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate logout [URL]`; returns the exit status: 1 if a server could not be asked."""
    flags = command_parser().parse(arguments)
    return guarded(lambda: _logout(flags))


def _logout(flags: argparse.Namespace) -> int:
    sessions = SavedSessions()
    if flags.all:
        if not (urls := list(sessions.urls())):
            print_line("there are no sessions")
        return max([_end(sessions, url) for url in urls], default=0)
    url = connection_to(flags.url or _DEFAULT_URL, "", "").session_url
    if url not in sessions.urls():
        raise ValueError(f"not signed in to {url}")
    return _end(sessions, url)


def _end(sessions: SavedSessions, url: str) -> int:
    """Ends the session at *url*; returns the exit status. The saved token goes in any case."""
    session = RotatingSession(sessions, url, "")
    connection = connection_to(url, "", "")._replace(session=session)
    reason = ""
    try:
        answer = HttpBackend().account_request(connection, "DELETE", "/api/session")
        if answer is None or answer[0] not in _ENDED:
            reason = "the server did not end it" if answer is None else f"status {answer[0]}"
    except (ConnectionFailed, ValueError) as error:
        reason = str(error)
    sessions.remove(url)
    if reason:
        print_line(f"headgate: {url}: the session ended on this machine only: {reason}", sys.stderr)
        return 1
    print_line(f"signed out of {url}")
    return 0
