"""npm's influx against our server: the library that Node.js programs use."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.servers import Server

NODE, NPM = shutil.which("node"), shutil.which("npm")
HERE = Path(__file__).parent / "node"
pytestmark = pytest.mark.skipif(
    (NODE is None or NPM is None) and not os.environ.get("CI"),
    reason="Node.js and npm are not installed",
)


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tour.js in a folder of its own, with the library beside it."""
    assert NPM is not None, "nodejs and npm must be installed"
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "tour.js"):
        shutil.copy(HERE / name, folder)
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run([NPM, "install", *options], cwd=folder, check=True, timeout=300)
    return folder / "tour.js"


def test_users_privileges_and_databases_through_the_library(server: Server, tour: Path) -> None:
    server.bootstrap()
    assert NODE is not None
    done = subprocess.run(
        [NODE, str(tour), str(server.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    odd = 'o\'dd "name"'
    assert seen == {
        "ping": [[True, "1.8.10"]],
        "databases": ["telegraf", odd],
        "granted": ["telegraf"],
        "revoked": [],
        "promoted": [
            {"user": "root", "admin": True},
            {"user": "todd", "admin": True},
            {"user": "boss", "admin": True},
        ],
        "old": seen["old"],
        "new": ["telegraf"],
        "forbidden": seen["forbidden"],
        "nobody": "Error from InfluxDB: user not found",
        "users": [{"user": "root", "admin": True}, {"user": "boss", "admin": True}],
        "left": [odd],
    }
    assert "authorization failed" in seen["old"]
    assert "requires admin privilege" in seen["forbidden"]
