"""Refused routes in the audit."""

import json
from collections.abc import Callable
from pathlib import Path

from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.programs_of_ours import run_headgate
from support.servers import Server
from support.waiting import poll_until


def audit(server: Server) -> list[dict[str, str]]:
    done = run_headgate("audit", "--json", "--store", str(server.store), check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_invented_addresses_do_not_help_to_guess(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = configured(serve, tmp_path, upstream("mimir", name="m")).bootstrap(TWO)

    def guess(number: int, login: tuple[str, str]) -> int:
        headers = {
            "X-Original-URI": "/prometheus/api/v1/labels",
            "X-Original-Method": "GET",
            "X-Real-IP": f"198.51.{number % 250}.{number // 4}",
        }
        return server.request("GET", "/auth/nginx/m", None, headers, login).status

    assert guess(500, ANN) == 200
    found = [guess(number, ("bob", f"Wrong-{number}")) for number in range(40)]
    assert found[0] == 401 and found[-1] == 503
    assert guess(41, BOB) == 503  # the right one is not to be told from others
    assert guess(500, ANN) == 200  # others are not kept waiting

    def both() -> bool:
        return any("198.51.5.1 via 127.0.0.1" in str(line) for line in audit(server))

    poll_until(both, "the audit lacks an address")
