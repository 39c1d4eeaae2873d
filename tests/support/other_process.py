"""Runs an engine in a second process, to test two processes on one store file."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

from headgate_engine import UNRESTRICTED, AuthenticationFailed, Engine, Passwords, SqliteStore


def errors(engine: Engine, text: str) -> list[str]:
    """Executes the statements *text*; returns the error of each statement, or "" on success."""
    return [result.error for result in engine.query(text, UNRESTRICTED)]


def lets_in(engine: Engine, name: str, password: str) -> bool:
    """Returns whether *engine* authenticates the user *name* with *password*."""
    try:
        return engine.authenticate(name, password).name == name
    except AuthenticationFailed:
        return False


class OtherProcess:
    """A second process with an engine; each method runs in that process."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, other_end = spawn.Pipe()
        self._process = spawn.Process(target=_run, args=(other_end,), daemon=True)
        self._process.start()

    def open(self, path: Path) -> None:
        """Opens the store *path*, and closes the previous one."""
        self._ask("open", str(path))

    def errors(self, text: str) -> list[str]:
        found = self._ask("errors", text)
        assert isinstance(found, list)
        return found

    def lets_in(self, name: str, password: str) -> bool:
        return bool(self._ask("lets_in", name, password))

    def _ask(self, *words: str) -> object:
        self._connection.send(words)
        assert self._connection.poll(60), "the other process does not answer"
        return self._connection.recv()

    def end(self) -> None:
        self._connection.send(("end",))
        self._process.join(20)
        assert self._process.exitcode == 0


def _run(connection: Connection) -> None:
    engine: Engine | None = None
    while True:
        match connection.recv():
            case ("open", path):
                if engine is not None:
                    engine.store.close()
                engine = Engine(SqliteStore(path), Passwords(cost=4))
                connection.send(True)
            case ("errors", text) if engine is not None:
                connection.send(errors(engine, text))
            case ("lets_in", name, password) if engine is not None:
                connection.send(lets_in(engine, name, password))
            case _:
                return
