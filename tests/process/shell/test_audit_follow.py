"""`headgate audit --follow`: new records appear as they are made, until Ctrl-C."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from headgate_engine import Engine, Passwords, SqliteStore


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
