"""`uvicorn headgate_server:app` serves the application of the environment."""

import os
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from urllib.error import URLError

from support.waiting import free_port, poll_until


def test_uvicorn_serves_the_application_and_logs_no_password(tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"HEADGATE_STORE_PATH": str(tmp_path / "users.db")}
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "headgate_server:app"]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            poll_until(lambda: answers(f"{url}/ping"), "it does not start")
            first = "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES"
            body = urllib.parse.urlencode({"q": first}).encode()
            with urllib.request.urlopen(f"{url}/query", body, timeout=20) as answer:
                assert answer.read() == b'{"results":[{"statement_id":0}]}\n'
            login = f"{url}/query?u=root&p=Toor-1&q=SHOW+USERS"
            with urllib.request.urlopen(login, timeout=20) as answer:
                assert b'["root",true]' in answer.read()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    assert "Toor-1" not in (tmp_path / "log").read_text()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 204)
    except URLError:
        return False
