"""The description of the API, tried by schemathesis."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate_server.api.accounts.openapi import ACCOUNT_PATHS
from support.servers import Server

# No description can say which old password is right, or which databases and users exist.
_CONFIGURATION = "".join(
    f"""\
[[operations]]
include-path = "{path}"
checks.positive_data_acceptance.expected-statuses = [
    "2xx", "400", "401", "403", "404", "409", "429", "503",
]
"""
    for path in ("/api/user/password", "/api/apply", *ACCOUNT_PATHS)
)


@pytest.mark.parametrize(
    ("login", "phases"), [("root:Toor-1", "coverage,fuzzing"), ("todd:s3cret", "fuzzing")]
)
def test_the_description_of_the_api_holds(
    serve: Callable[..., Server], login: str, phases: str
) -> None:
    """Schemathesis tries what the description allows and forbids."""
    # It tries wrong logins, too, and takes the 503 of a throttled writer for a fault.
    server = serve(HEADGATE_AUTH_LONGEST_DELAY="0s").bootstrap(
        "CREATE DATABASE db; CREATE USER todd WITH PASSWORD 's3cret'"
    )
    server.query("GRANT READ ON db TO todd")
    (server.store.parent / "schemathesis.toml").write_text(_CONFIGURATION)
    url = f"http://127.0.0.1:{server.port}/openapi.json"
    schemathesis = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [
            *(str(schemathesis), "run", url, "--checks", "all", "--max-examples", "5"),
            *("--suppress-health-check", "all", "--no-color", "--auth", login),
            *("--phases", phases),
        ],
        cwd=server.store.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
