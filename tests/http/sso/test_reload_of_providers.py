"""A reload adds and removes providers and ways to log in, while people are signed in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.account_requests import send
from support.console_requests import Visitor, page_text
from support.fake_openid import FakeOpenID
from support.local_server import LocalServer
from support.sso import BASE_URL, come_back, path_of, provider_table, serve_with

pytest_plugins = ("support.fake_openid_fixtures",)

Serve = Callable[..., LocalServer]


@pytest.mark.slow
def test_a_reload_changes_the_ways_to_sign_in(
    serve: Serve, tmp_path: Path, provider: FakeOpenID
) -> None:
    server = serve_with(serve, tmp_path, provider_table(provider, use_refresh_token=True))
    path = tmp_path / "headgate.toml"
    visitor, begun = Visitor(server), Visitor(server)
    come_back(visitor, provider)
    callback = path_of(provider.sign_in(begun.get("/login/corp").headers["Location"], "ann"))
    top = f'[http]\nbase-url = "{BASE_URL}"\n'
    path.write_text(
        f'{top}[auth]\nsignup-enabled = true\n[auth.anonymous]\nenabled = true\nuser = "ann"\n',
        "utf-8",
    )
    server.reload()
    # The flow that had begun ends; the session goes on while its access lasts.
    assert begun.get(callback).status == 404
    assert Visitor(server).get("/login/corp").status == 404
    assert visitor.get("/api/user").json["name"] == "ann"
    assert "Continue with" not in page_text(Visitor(server).get("/login"))
    assert Visitor(server).get("/signup").status == 200
    assert server.request("GET", "/api/whoami", None, {}).json["method"] == "anonymous"
    path.write_text(f"{top}{provider_table(provider, 'again')}", "utf-8")
    server.reload()
    assert come_back(Visitor(server), provider, start="/login/again").status == 303
    assert server.request("GET", "/api/whoami", None, {}).status == 401
    # A reload that is refused changes nothing.
    path.write_text("[auth.oauth.x]\nkind = 'nothing'\n", "utf-8")
    server.reload()
    assert come_back(Visitor(server), provider, start="/login/again").status == 303
    assert len(send(server, "GET", "/api/providers", login=None).json) == 1
