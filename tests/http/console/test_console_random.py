"""Random requests to the console: an answer below 500 for each, and no fault in the log."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.account_requests import make_key
from support.console_requests import Visitor
from support.local_server import LocalServer
from support.servers import ROOT

PATHS = [
    *("/console", "/console/", "/console/users", "/console/users/new", "/console/databases"),
    *("/console/keys", "/console/keys/new", "/console/sessions", "/console/audit"),
    *("/console/account", "/console/account/password", "/login", "/console/static/console.css"),
    *(f"/console/users/{id}" for id in ("1", "2", "9" * 25, "-1", "x")),
    *(f"/console/users/2/{name}" for name in ("rights", "profile", "password", "sessions")),
    *("/console/users/2/status", "/console/users/2/drop", "/console/databases/1"),
    *("/console/databases/99", "/console/keys/1", "/console/keys/999"),
]
NAMES = st.sampled_from(
    "name db after from format state user text since until before refused username password"
    " redirect notice grant.1 grant.2 revision admin action confirm privilege scope lifetime grace"
    " status email full_name verified role password_kind id old new again revoke".split()
)
VALUES = st.text(max_size=40) | st.sampled_from(
    ["READ", "NONE", "yes", "1", "9" * 30, "-1", "\x00", "csv", "active", "../", "todd", "'"]
)
FIELDS = st.dictionaries(NAMES, VALUES, max_size=5)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    store: Path = tmp_path_factory.mktemp("random") / "users.db"
    server = LocalServer(store, (), {"HEADGATE_AUTH_BCRYPT_COST": "4"}).start()
    server.bootstrap(
        "CREATE DATABASE shop; CREATE USER todd WITH PASSWORD 's3cret'; GRANT READ ON shop TO todd"
    )
    make_key(server, {"name": "eu", "user": "todd"})
    yield Visitor(server, *ROOT)
    assert "Traceback" not in server.log() and "internal error" not in server.log()
    server.stop()


@pytest.mark.slow
@given(
    method=st.sampled_from(["GET", "POST"]),
    path=st.sampled_from(PATHS) | st.text(max_size=20).map(lambda it: "/console/" + quote(it)),
    query=FIELDS,
    form=FIELDS,
)
def test_no_request_is_a_fault(
    root: Visitor, method: str, path: str, query: dict[str, str], form: dict[str, str]
) -> None:
    address = f"{path}?{urlencode(query, errors='surrogatepass')}"
    answer = root.get(address) if method == "GET" else root.post(address, form)
    assert answer.status < 500, (method, address, form)
