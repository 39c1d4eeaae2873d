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
from pathlib import Path

from headgate.__main__ import run
from support.etcd import Etcd
from support.waiting import free_port, poll_until

MEMBER = "HEADGATE_TEST_ETCD"


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


async def relay(ports: list[int], port: int) -> None:
    """Relays the connections to *port* to *ports* in turn, byte by byte."""
    turns = itertools.cycle(ports)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            own_reader, own_writer = await asyncio.open_connection("127.0.0.1", next(turns))
            await asyncio.gather(copy(reader, own_writer), copy(own_reader, writer))
            own_writer.close()
        writer.close()

    server = await asyncio.start_server(connect, "127.0.0.1", port)
    await server.serve_forever()


def serve_by_two(arguments: list[str]) -> int:
    """Runs two servers on one store, and answers on the port of *arguments* by both in turn."""
    place = arguments.index("--bind") + 1
    port = int(arguments[place].rpartition(":")[2])
    ports, servers = [free_port(), free_port()], []
    for own in ports:
        own_arguments = [*arguments]
        own_arguments[place] = f"127.0.0.1:{own}"
        servers.append(subprocess.Popen([sys.executable, __file__, "serve", *own_arguments]))
        poll_until(lambda own=own: is_open(own), "a server did not start")  # type: ignore[misc]

    def end(*_: object) -> None:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    asyncio.run(relay(ports, port))
    return 0


def is_open(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


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
