"""Features of the gateway that need a process: checks, and what others see of it."""

import json
from collections.abc import Callable
from pathlib import Path

from support.gateway_fixtures import upstream
from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.tenant_fixtures import (
    SECRET,
    Parts,
    seed_flags,
)


def test_g31_run_it_and_check_it_first(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("[gateway]\n" + upstream("mimir", urls=["http://127.0.0.1:9009"]))
    done = run_headgate("serve", "--check", "--config", str(path))
    assert (done.returncode, done.stderr) == (0, "headgate: configuration OK\n")
    path.write_text("[gateway]\nupstream = 1\n")
    assert run_headgate("serve", "--check", "--config", str(path)).returncode == 1


def test_the_secret_is_not_to_be_seen(
    serve_process: Callable[..., ServerProcess], parts: Parts
) -> None:
    mimir = serve_process(*seed_flags(parts, "mimir"), fresh=True)
    assert mimir.process is not None
    shown = Path(f"/proc/{mimir.process.pid}/cmdline").read_bytes()
    assert b"[REDACTED]" in shown and SECRET.encode() not in shown
    assert SECRET not in mimir.log()
    assert json.dumps(SECRET) not in mimir.log()
