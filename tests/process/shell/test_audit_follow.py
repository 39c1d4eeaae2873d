"""`headgate audit --follow`: new records appear as they are made, until Ctrl-C."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from headgate_engine import Engine, Passwords, SqliteStore
from support.account_requests import make_key
from support.local_server import LocalServer


def test_new_records_appear_until_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    with closing(SqliteStore(path)) as store:
        engine = Engine(store, Passwords(cost=4))
        engine.create_user("root", "Toor-1", admin=True)
        command = [sys.executable, "-m", "headgate", "audit", "--store", str(path)]
        process = subprocess.Popen(
            [*command, "--follow", "--kind", "CREATE"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert "CREATE USER root" in process.stdout.readline()
        engine.create_user("todd", "s3cret-1")
        assert "CREATE USER todd" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stdout.read() == ""
        process.stdout.close()


def test_following_a_server_goes_on_after_its_restart(
    serve: Callable[..., LocalServer], tmp_path: Path
) -> None:
    server = serve().bootstrap()
    key = make_key(server, {"name": "k", "user": "root", "role": "Admin"})["key"]
    server.secrets.add(key)
    url = f"http://127.0.0.1:{server.port}"
    command = [sys.executable, "-m", "headgate", "audit", "--server", url, "--follow"]
    process = subprocess.Popen(
        [*command, "--kind", "CREATE DATABASE"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HEADGATE_TOKEN": key, "XDG_DATA_HOME": str(tmp_path)},
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        assert not server.query("CREATE DATABASE one").error
        assert "CREATE DATABASE one" in process.stdout.readline()
        server.stop()
        assert "trying again" in process.stderr.readline()
        server.start()
        assert not server.query("CREATE DATABASE two").error
        assert "CREATE DATABASE two" in process.stdout.readline(), "and each record once"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()
