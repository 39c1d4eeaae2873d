"""Runs the commands of docs/moving.md against a real influxd, from its first to its last user."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from support.influxd import Influxd, needs_influxd
from support.places import REPOSITORY
from support.servers import ROOT
from support.waiting import free_port

pytestmark = needs_influxd

PAGE = (REPOSITORY / "docs" / "moving.md").read_text()
TODD = ("todd", "s3cret")


def blocks(language: str) -> list[str]:
    """Returns the fenced blocks in *language*, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, text in found]


def indented_commands() -> list[str]:
    found = re.findall(r"^    (headgate .*)$", PAGE, re.MULTILINE)
    return [it for it in found if "import pyroscope" not in it]  # test_import_pyroscope.py has it


def run(folder: Path, script: str, **ports: int) -> str:
    """Runs *script* with bash. `headgate` is this program, and ports are those of the test."""
    for name, port in ports.items():
        script = script.replace(f":{name.removeprefix('p')}", f":{port}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": path, "HEADGATE_AUTH_BCRYPT_COST": "4"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 2), (script, done.stderr)
    return done.stdout


def test_the_page_moves_users_in_and_back(tmp_path: Path) -> None:
    take, check_and_start, look, back = blocks("sh")
    (tmp_path / "root.password").write_text(f"{ROOT[1]}\n")
    influxdb = tmp_path / "influxdb"
    influxdb.mkdir()
    with Influxd(influxdb) as influxd:
        influxd.query(f"CREATE USER root WITH PASSWORD '{ROOT[1]}' WITH ALL PRIVILEGES", None)
        influxd.query("CREATE DATABASE telegraf; CREATE USER todd WITH PASSWORD 's3cret'", ROOT)
        influxd.query("GRANT READ ON telegraf TO todd", ROOT)
        influxd.request("POST", "/write?db=telegraf", b"cpu load=1 1000000000", basic=ROOT)

        out = run(tmp_path, take.replace("/var/lib/influxdb", str(influxdb)))
        assert out.count("GRANT READ ON telegraf TO todd") == 2  # also of the dry run

        ports = {"p8086": influxd.port, "p8087": free_port()}
        configuration = blocks("toml")[0]
        for name, port in ports.items():
            configuration = configuration.replace(f":{name.removeprefix('p')}", f":{port}")
        (tmp_path / "headgate.toml").write_text(configuration)
        out = run(
            tmp_path,
            f"{check_and_start.rstrip()} pid=$!\n"
            "for n in $(seq 200); do curl -s http://127.0.0.1:8087/ping && break; sleep 0.1; done\n"
            f"{look}kill $pid; wait $pid",
            **ports,
        )
        assert "root  A" in out and "todd  R" in out
        assert "yes  READ on telegraf: the grant READ on telegraf" in out
        assert '"values":[["1970-01-01T00:00:01Z",1]]' in out

        # A user that only Headgate has, and a new password.
        new = "CREATE USER ann WITH PASSWORD 'Ann-1'; GRANT ALL ON telegraf TO ann"
        run(tmp_path, f'headgate shell -store users.db -execute "{new}"')

    run(tmp_path, back.replace("/var/lib/influxdb", str(influxdb)))
    with Influxd(influxdb) as influxd:
        for login in (TODD, ("ann", "Ann-1")):
            answer = influxd.query("SELECT * FROM cpu", login, db="telegraf")
            assert answer.rows() == [["1970-01-01T00:00:01Z", 1]], login


def test_the_other_commands_of_the_page_work(tmp_path: Path) -> None:
    (tmp_path / "root.password").write_text(f"{ROOT[1]}\n")
    (tmp_path / "todd.password").write_text("s3cret\n")
    (tmp_path / "state.toml").write_text(blocks("toml")[1])
    init, dry, apply, access, can = indented_commands()
    assert "created the administrator root" in run(tmp_path, init)
    assert "3 changes would be made" in run(tmp_path, dry)
    assert "3 changes made" in run(tmp_path, apply)
    assert run(tmp_path, access).splitlines() == ["user,telegraf", "root,A", "todd,R"]
    assert "yes  READ on telegraf" in run(tmp_path, can)
    (export,) = re.findall(r"`(headgate export config [^`]+)`", PAGE)
    (tmp_path / "state.yaml").write_text(blocks("yaml")[0])
    assert "0 changes would be made" in run(tmp_path, dry.replace("state.toml", "state.yaml"))
    (tmp_path / "state.toml").unlink()
    assert "2 users, 1 database" in run(tmp_path, export)
    assert "0 changes made" in run(tmp_path, apply)


def test_every_variable_of_the_page_is_read() -> None:
    from headgate_server.config import first_users

    source = Path(first_users.__file__).read_text()
    names = set(re.findall(r"`((?:HEADGATE|INFLUXDB)_[A-Z_]+)`", PAGE))
    assert len(names) == 12
    assert all(name.removesuffix("_FILE") in source for name in names)
