"""What `/auth` refuses is in the audit."""

from collections.abc import Callable
from pathlib import Path

from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.programs_of_ours import run_headgate
from support.servers import Server
from support.waiting import poll_until


def test_what_auth_refuses_is_in_the_audit(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = configured(serve, tmp_path, upstream("mimir", name="m")).bootstrap(TWO)
    headers = {"X-Original-URI": "/db/b/prometheus/api/v1/query", "X-Original-Method": "GET"}
    assert server.request("GET", "/auth/nginx/m", None, headers, ANN).status == 403

    def told() -> bool:
        done = run_headgate("audit", "--store", str(server.store), check=True)
        return "-- /auth" in done.stdout and "requires READ on b" in done.stdout

    poll_until(told, "not recorded")
