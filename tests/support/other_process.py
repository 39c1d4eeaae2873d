"""An engine in a process of its own, on the same store file."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

from headgate_engine import UNRESTRICTED, AuthenticationFailed, Engine, Passwords, SqliteStore


def errors(engine: Engine, text: str) -> list[str]:
    return [result.error for result in engine.query(text, UNRESTRICTED)]


def lets_in(engine: Engine, name: str, password: str) -> bool:
    try:
        return engine.authenticate(name, password).name == name
    except AuthenticationFailed:
        return False


class OtherProcess:
    """Does what one is told, in another process."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._mouth, ear = spawn.Pipe()
        self._process = spawn.Process(target=_obey, args=(ear,), daemon=True)
        self._process.start()

    def open(self, path: Path) -> None:
        self._ask("open", str(path))

    def errors(self, text: str) -> list[str]:
        found = self._ask("errors", text)
        assert isinstance(found, list)
        return found

    def lets_in(self, name: str, password: str) -> bool:
        return bool(self._ask("lets_in", name, password))

    def _ask(self, *words: str) -> object:
        self._mouth.send(words)
        assert self._mouth.poll(60), "the other process does not answer"
        return self._mouth.recv()

    def end(self) -> None:
        self._mouth.send(("end",))
        self._process.join(20)
        assert self._process.exitcode == 0


def _obey(ear: Connection) -> None:
    engine: Engine | None = None
    while True:
        match ear.recv():
            case ("open", path):
                if engine is not None:
                    engine.store.close()
                engine = Engine(SqliteStore(path), Passwords(cost=4))
                ear.send(True)
            case ("errors", text) if engine is not None:
                ear.send(errors(engine, text))
            case ("lets_in", name, password) if engine is not None:
                ear.send(lets_in(engine, name, password))
            case _:
                return
