"""`headgate shell`: the shell of the package `headgate_shell`, with this product's stores."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from headgate_shell.cli import main as run_shell

if TYPE_CHECKING:
    from headgate.saved_sessions import RotatingSession
    from headgate_engine import Engine


def main(arguments: Sequence[str]) -> int:
    """Runs the shell, and returns its exit status."""
    return run_shell(arguments, _open_engine, _saved_session, _other_session)


def _open_engine(location: str, *, config: str | None) -> "AbstractContextManager[Engine]":
    # Imported on demand: a shell with a server does not need the engine, and must start fast.
    from headgate.configured_engine import opened_engine

    return opened_engine(location, config=config)


def _saved_session(url: str, user: str) -> "RotatingSession | None":
    # Imported on demand, for a shell without another login.
    from headgate.saved_sessions import saved_session

    return saved_session(url, user)


def _other_session(url: str) -> str:
    # Imported on demand, for a shell whose statement failed.
    from headgate.saved_sessions import session_of_same_machine

    return session_of_same_machine(url)
