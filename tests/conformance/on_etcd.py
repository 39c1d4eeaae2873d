"""Replays the HTTP scenarios of InfluxDB against servers whose store is in a real etcd.

    PYTHONPATH=tests python tests/conformance/on_etcd.py FOLDER [WORKERS]

Needs Debian's etcd-server. As in gate.py, the exit status is 1 if a step that is not marked
`mended` differs.
"""

import hashlib
import os
import shlex
import sys
import tempfile
from pathlib import Path

from headgate.__main__ import run

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


def main() -> int:
    if sys.argv[1:2] == ["serve"]:
        return serve(sys.argv[2:])
    import gate  # of this folder

    from support.etcd import Etcd

    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder, Etcd(Path(folder)) as etcd:
        os.environ[MEMBER] = gate.ENVIRONMENT[MEMBER] = f"127.0.0.1:{etcd.ports[0]}"
        program = shlex.join([sys.executable, __file__, "serve"])
        return 0 if gate.http(Path(sys.argv[1]), workers, program=program) else 1


if __name__ == "__main__":
    sys.exit(main())
