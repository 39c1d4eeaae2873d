"""Reloads while people sign in."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from support.account_requests import COOKIE
from support.console_requests import Visitor
from support.fake_openid import FakeOpenID
from support.key_server import Said
from support.provider_server import Asked
from support.sso import path_of, provider_table, serve_with

pytest_plugins = ("support.fake_openid_fixtures",)


def test_a_reload_breaks_no_sign_in(serve: Any, tmp_path: Path, provider: FakeOpenID) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider))
    visitor, asked, reloaded = Visitor(server), threading.Event(), threading.Event()
    url = visitor.get("/login/corp").headers["Location"]
    callback = path_of(provider.sign_in(url, "ann"))

    def slow(one: Asked) -> Said:
        asked.set()
        assert reloaded.wait(20)
        return provider.respond(one)

    provider.say(provider.token_path, slow)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(visitor.get, callback)
        assert asked.wait(20)
        server.reload()
        reloaded.set()
        assert answer.result().status == 303
    assert visitor.get("/api/user").json["name"] == "ann"


def test_a_state_stays_used_after_a_reload(
    serve: Any, tmp_path: Path, provider: FakeOpenID
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider))
    visitor = Visitor(server)
    url = visitor.get("/login/corp").headers["Location"]
    flow = dict(visitor.cookies)
    callback = path_of(provider.sign_in(url, "ann"))
    assert visitor.get(callback).status == 303
    server.reload()
    visitor.cookies = dict(flow)
    assert visitor.get(callback).status == 400 and COOKIE not in visitor.cookies


def test_a_provider_that_was_removed_finishes_no_sign_in(
    serve: Any, tmp_path: Path, provider: FakeOpenID
) -> None:
    tables = (provider_table(provider), provider_table(provider, "second"))
    server = serve_with(serve, tmp_path, *tables)
    visitor = Visitor(server)
    url = visitor.get("/login/second").headers["Location"]
    callback = path_of(provider.sign_in(url, "ann"))
    path = tmp_path / "headgate.toml"
    path.write_text(path.read_text("utf-8").replace(tables[1], ""), "utf-8")
    server.reload()
    assert visitor.get(callback).status == 404
    assert visitor.get(callback.replace("/second/", "/corp/")).status == 400
    assert COOKIE not in visitor.cookies
