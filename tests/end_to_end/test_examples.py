"""The examples run, and do what they say."""

import os
import runpy
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from harness import Server, free_port, poll_until
from headgate_engine import Engine, Passwords, SqliteStore
from headgate_grammar import Privilege
from support.places import REPOSITORY

EXAMPLES = REPOSITORY / "examples"


def run(*arguments: str, seconds: float = 120) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_embed(tmp_path: Path) -> None:
    assert run("embed.py", str(tmp_path / "users.db")).splitlines() == [
        "[[('telegraf', 'READ')]]",
        "may read: True",
        "may write: False",
        "wrong password: authorization failed",
    ]


def test_the_tour() -> None:
    answer = run("tour.py")
    assert answer.endswith("make demo-console, http://127.0.0.1:8186/\nThe tour succeeded.\n")
    assert "401" in answer and "requires admin privilege" in answer


def test_starlette_app(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve().bootstrap(
        "CREATE DATABASE telegraf; CREATE USER todd WITH PASSWORD 'x'",
        "CREATE USER alice WITH PASSWORD 'x'; GRANT READ ON telegraf TO todd",
    )
    app = Server(server.store, port=free_port())
    app.process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "starlette_app:app", "--port", str(app.port)],
        cwd=EXAMPLES,
        env=os.environ | {"HEADGATE_STORE_PATH": str(server.store)},
        stderr=subprocess.DEVNULL,
    )
    try:

        def listens() -> bool:
            try:
                return app.request("GET", "/").status == 401
            except OSError:
                return False

        poll_until(listens, "the application did not start")
        for path, login, status in (
            ("/", ("todd", "x"), 200),
            ("/", ("todd", "y"), 401),
            ("/report", ("todd", "x"), 200),
            ("/report", ("alice", "x"), 403),
            ("/report", ("root", "Toor-1"), 200),
        ):
            assert app.request("GET", path, basic=login).status == status, (path, login)
        assert app.request("GET", "/?u=todd&p=x").body == b"hello todd"
        wrong = {"Authorization": "Basic " + b64encode(b"todd:y").decode()}
        answer = app.request("GET", "/", headers=wrong)
        assert answer.headers["WWW-Authenticate"] and answer.error == "authorization failed"
        server.query("REVOKE READ ON telegraf FROM todd")
        assert app.request("GET", "/report", basic=("todd", "x")).status == 403
    finally:
        app.stop()


@pytest.mark.skipif(
    "CI" not in os.environ
    and not (shutil.which("etcd") and shutil.which("nginx", path="/usr/sbin:/usr/bin")),
    reason="etcd-server or nginx-light is not installed",
)
def test_cluster() -> None:
    printed = run("cluster.py", seconds=400)
    assert "/health is 503" in printed and "all is well again" in printed
    assert len(printed.splitlines()) == 14


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.glob("*.py"))])
def test_every_example_is_tested(name: str) -> None:
    assert name.removesuffix(".py") in Path(__file__).read_text()


def test_fastapi_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users.db"
    with closing(SqliteStore(path)) as store:
        engine = Engine(store, Passwords(cost=4))
        engine.create_database("telegraf")
        for name in ("root", "todd", "alice"):
            engine.create_user(name, f"{name}-1", admin=name == "root")
        engine.grant(Privilege.READ, "telegraf", "todd")
        monkeypatch.setenv("HEADGATE_STORE_PATH", str(path))
        found = runpy.run_path(str(EXAMPLES / "fastapi_app.py"))
        with TestClient(found["app"]) as client:
            for place, login, status in (
                ("/", ("todd", "todd-1"), 200),
                ("/", ("todd", "wrong"), 401),
                ("/", None, 401),
                ("/reports/telegraf", ("todd", "todd-1"), 200),
                ("/reports/telegraf", ("alice", "alice-1"), 403),
                ("/reports/telegraf", ("root", "root-1"), 200),
                ("/reports/other", ("todd", "todd-1"), 403),
            ):
                response = client.get(place, auth=login)
                assert response.status_code == status, (place, login)
                assert ("www-authenticate" in response.headers) == (status == 401)
            engine.revoke(Privilege.READ, "telegraf", "todd")
            assert client.get("/reports/telegraf", auth=("todd", "todd-1")).status_code == 403
            schemes = client.get("/openapi.json").json()["components"]["securitySchemes"]
            assert schemes == {"HTTPBasic": {"type": "http", "scheme": "basic"}}
        found["engine"].engine.store.close()
