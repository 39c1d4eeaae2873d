"""Replays the HTTP scenarios of InfluxDB against servers whose store is in a real etcd.

    PYTHONPATH=tests python tests/conformance/on_etcd.py FOLDER [WORKERS]
    PYTHONPATH=tests python tests/conformance/on_etcd.py FOLDER two

With `two`, two servers on one store answer in turn: an old answer just after a change is possible.
Needs Debian's etcd-server. As in gate.py, the exit status is 1 if a step that is not marked
`mended` differs.
"""

import asyncio
import hashlib
import itertools
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

from headgate.__main__ import run
from support.etcd import Etcd
from support.waiting import poll_until

MEMBER = "HEADGATE_TEST_ETCD"
# The addresses of the two servers, on the port of the scenario: no other scenario has it.
HOSTS = ("127.0.0.2", "127.0.0.3")


def serve(arguments: list[str]) -> int:
    """Runs `headgate serve` with a store of its own, which belongs to the path after `--store`."""
    place = arguments.index("--store") + 1
    name = hashlib.sha256(arguments[place].encode()).hexdigest()[:16]
    url = f"etcd://{os.environ[MEMBER]}/{name}"
    mark = Path(f"{arguments[place]}.made")
    if not mark.exists():
        run(["store", "init", url])
        mark.touch()
    arguments[place] = url
    return run(["serve", *arguments])


async def relay(port: int) -> None:
    """Relays the connections to *port* to HOSTS in turn, byte by byte."""
    turns = itertools.cycle(HOSTS)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            own_reader, own_writer = await asyncio.open_connection(next(turns), port)
            await asyncio.gather(copy(reader, own_writer), copy(own_reader, writer))
            own_writer.close()
        writer.close()

    server = await asyncio.start_server(connect, "127.0.0.1", port)
    await server.serve_forever()


def serve_by_two(arguments: list[str]) -> int:
    """Runs two servers on one store, and answers on the port of *arguments* by both in turn."""
    place = arguments.index("--bind") + 1
    port = int(arguments[place].rpartition(":")[2])
    servers = []
    for host in HOSTS:
        own = [*arguments]
        own[place] = f"{host}:{port}"
        servers.append(subprocess.Popen([sys.executable, __file__, "serve", *own]))
        poll_until(partial(is_open, host, port), "a server did not start")

    def end(*_: object) -> None:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    asyncio.run(relay(port))
    return 0


def is_open(host: str, port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex((host, port)) == 0


def main() -> int:
    """Runs the scenarios, or one server of a scenario."""
    if sys.argv[1:2] == ["serve"]:
        return serve(sys.argv[2:])
    if sys.argv[1:2] == ["two"]:
        return serve_by_two(sys.argv[2:])
    import gate  # of this folder

    kind = sys.argv[2] if len(sys.argv) > 2 else "1"
    with tempfile.TemporaryDirectory() as folder, Etcd(Path(folder)) as etcd:
        os.environ[MEMBER] = gate.ENVIRONMENT[MEMBER] = f"127.0.0.1:{etcd.ports[0]}"
        program = shlex.join([sys.executable, __file__, "two" if kind == "two" else "serve"])
        workers = 1 if kind == "two" else int(kind)
        return 0 if gate.http(Path(sys.argv[1]), workers, program=program) else 1


if __name__ == "__main__":
    sys.exit(main())
