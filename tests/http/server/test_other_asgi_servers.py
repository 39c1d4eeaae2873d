"""The application in another ASGI server: Starlette's test client."""

import resource
from pathlib import Path

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

import headgate_server
from headgate_server import Application, configure
from headgate_server.serving.environment_app import create_app
from support.gateway_fixtures import upstream
from support.recorder_upstream import recorder

ROOT = ("root", "Toor-1")
FIRST = "CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES"


@pytest.fixture(autouse=True)
def no_limit_for_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the limit of core dumps, which a process can never raise again."""
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: None)


def application(folder: Path, text: str = "") -> Application:
    path = folder / "headgate.toml"
    path.write_text(f"[store]\npath = '{folder / 'users.db'}'\n[auth]\nbcrypt-cost = 4\n{text}")
    return Application(configure({}, {}, str(path)).settings)


def client(app: object) -> TestClient:
    # The first query must come from this machine.
    return TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000))  # type: ignore[arg-type]


@pytest.mark.slow
def test_starlettes_test_client_is_a_client_like_any_other(tmp_path: Path) -> None:
    with client(application(tmp_path)) as http:
        assert http.get("/query", params={"q": "SHOW USERS"}).status_code == 403
        assert http.post("/query", data={"q": FIRST}).status_code == 200
        answer = http.get("/query", params={"q": "SHOW USERS"}, auth=ROOT)
        assert answer.json()["results"][0]["series"][0]["values"] == [["root", True]]
        assert http.get("/query", params={"q": "SHOW USERS"}).status_code == 401
        assert http.get("/query", params={"q": "SHOW"}, auth=ROOT).status_code == 400
        assert http.head("/ping").status_code == 204
        assert http.get("/nowhere").status_code == 404


def test_a_gateway_forwards_from_any_server(tmp_path: Path) -> None:
    with recorder() as store:
        store.reply = lambda heard: (200, {}, b'{"status":"success","data":[]}')
        app = application(tmp_path, f"[gateway]\n{upstream('loki', urls=[store.url])}")
        with client(app) as http:
            http.post("/query", data={"q": FIRST})
            http.post("/query", data={"q": "CREATE DATABASE a"}, auth=ROOT)
            answer = http.get("/loki/api/v1/labels", auth=ROOT, headers={"X-Scope-OrgID": "a"})
            assert answer.json() == {"status": "success", "data": []}
            assert store.last.tenant == "a"


@pytest.mark.parametrize("path", ["/nowhere", "/query"])
def test_a_websocket_without_a_route_is_refused(tmp_path: Path, path: str) -> None:
    with client(application(tmp_path)) as http:
        with pytest.raises(WebSocketDenialResponse) as refused:
            with http.websocket_connect(path):
                pass
        assert refused.value.status_code == 404


def test_the_application_of_the_environment_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_STORE_PATH", str(tmp_path / "users.db"))
    monkeypatch.setenv("HEADGATE_AUTH_BCRYPT_COST", "4")
    monkeypatch.delitem(vars(headgate_server), "app", raising=False)
    app = headgate_server.app
    assert headgate_server.app is app
    monkeypatch.delitem(vars(headgate_server), "app")
    with client(app) as http:
        assert http.post("/query", data={"q": FIRST}).status_code == 200
    with pytest.raises(AttributeError, match="has no attribute 'application_'"):
        headgate_server.application_  # noqa: B018


def test_an_invalid_environment_ends_the_process_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text("[http]\nworkers = 0")
    monkeypatch.setenv("HEADGATE_CONFIG", str(path))
    with pytest.raises(SystemExit) as end:
        create_app()
    assert end.value.code == f"headgate: {path}: [http] workers: expected 1 to 64"
