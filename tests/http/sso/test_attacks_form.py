"""Ways around the sign-in page without a form."""

from pathlib import Path
from typing import Any

import pytest

from support.account_requests import COOKIE, encoded, send
from support.fake_openid import FakeOpenID
from support.servers import ROOT
from support.sso import provider_table, serve_with


@pytest.mark.parametrize("option", ["disable-login-form", "disable-login"])
@pytest.mark.parametrize(
    "content",
    [
        {"user": ROOT[0], "password": ROOT[1]},
        {"username": ROOT[0], "password": encoded(ROOT[1])},
    ],
)
def test_no_program_signs_in_where_the_form_is_off(
    serve: Any, tmp_path: Path, option: str, content: dict[str, str]
) -> None:
    with FakeOpenID() as provider:
        table = provider_table(provider)
        server = serve_with(serve, tmp_path, table)
        server.stop()
        path = tmp_path / "headgate.toml"
        path.write_text(path.read_text("utf-8").replace("[auth]", f"[auth]\n{option} = true"))
        server.start()
    answer = send(server, "POST", "/login", content, None)
    assert answer.status == 403 and COOKIE not in str(answer.headers)
