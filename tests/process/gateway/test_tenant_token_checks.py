"""Settings of tenant tokens that a check warns of."""

from pathlib import Path

from support.gateway_fixtures import upstream
from support.programs_of_ours import run_headgate


def test_g15_a_short_secret_is_told_of_and_never_shown(tmp_path: Path) -> None:
    table = upstream("mimir", name="m", urls=["http://127.0.0.1:9009"], jwt={"secret": "Zk7short"})
    path = tmp_path / "headgate.toml"
    path.write_text(f"[gateway]\n{table}")
    done = run_headgate("serve", "--check", "--config", str(path))
    told = "[gateway] upstream 'm': jwt: secret: shorter than 32 bytes"
    assert done.returncode == 0 and told in done.stderr and "Zk7" not in done.stderr
    path.write_text(f"[http]\nenforce-strong-secret = true\n[gateway]\n{table}")
    done = run_headgate("serve", "--check", "--config", str(path))
    assert done.returncode == 1 and "refused by enforce-strong-secret" in done.stderr
