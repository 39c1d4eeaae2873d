"""POST /api/reload: what SIGHUP does, for administrators."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.server_process import ServerProcess
from support.servers import ROOT
from support.waiting import poll_until


@pytest.mark.parametrize(("workers", "status"), [("1", 200), ("2", 202)])
def test_an_administrator_reloads_and_others_do_not(
    serve_process: Callable[..., ServerProcess], tmp_path: Path, workers: str, status: int
) -> None:
    configuration = tmp_path / "headgate.toml"
    configuration.write_text("")
    server = serve_process("--config", str(configuration), "--workers", workers).bootstrap(
        "CREATE USER todd WITH PASSWORD 's3cret'"
    )
    before = server.log().count("configuration of tokens and gateway read again")
    for login, refused in ((None, 401), (("todd", "s3cret"), 403)):
        assert server.request("POST", "/api/reload", basic=login).status == refused
    assert server.request("GET", "/api/reload", basic=ROOT).status == 405
    assert server.request("POST", "/api/reload", basic=ROOT).status == status
    poll_until(
        lambda: (
            server.log().count("configuration of tokens and gateway read again") - before
            == int(workers)
        ),
        "not all workers reload",
    )
    configuration.write_text("[gateway]\nupstream = 7\n")
    answer = server.request("POST", "/api/reload", basic=ROOT)
    assert answer.status == 400
    assert b"upstream" in answer.body
    configuration.write_text("")
    assert server.request("POST", "/api/reload", basic=ROOT).status == status
    poll_until(lambda: server.request("GET", "/health").status == 200, "it is not healthy")
