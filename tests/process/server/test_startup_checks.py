"""`serve --check` finds what `serve` refuses, and creates and changes nothing."""

import grp
import json
import os
import re
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from headgate_engine import SqliteStore
from support.local_server import LocalServer
from support.old_stores import create_old_store
from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.servers import Server
from support.waiting import free_port


def settings(folder: Path, **environment: str) -> dict[str, str]:
    own = {"HTTP_BIND_ADDRESS": f"127.0.0.1:{free_port()}", "STORE_PATH": str(folder / "users.db")}
    return {f"HEADGATE_{name}": value for name, value in (own | environment).items()}


def checked(environment: dict[str, str], *flags: str) -> tuple[int, list[str]]:
    """The exit status of `serve --check`, and its lines without the name in front."""
    done = run_headgate("serve", "--check", *flags, environment=os.environ | environment)
    return done.returncode, [line.removeprefix("headgate: ") for line in done.stderr.splitlines()]


def served(environment: dict[str, str]) -> list[str]:
    """The reasons for which `serve` itself does not start."""
    done = run_headgate("serve", environment=os.environ | environment)
    assert done.returncode == 1, done.stderr
    lines = (line.partition(" headgate: ")[2] for line in done.stderr.splitlines())
    return [line for line in lines if line != "stopped"]


def certificate(folder: Path) -> dict[str, str]:
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    (folder / "key.pem").chmod(0o600)
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(str(folder / "other.pem"))
    (folder / "other.pem").chmod(0o600)
    return {
        "HTTP_HTTPS_ENABLED": "true",
        "HTTP_HTTPS_CERTIFICATE": str(folder / "cert.pem"),
        "HTTP_HTTPS_PRIVATE_KEY": str(folder / "key.pem"),
    }


def tls_without(name: str, **other: str) -> Callable[[Path], dict[str, str]]:
    def made(folder: Path) -> dict[str, str]:
        found = certificate(folder)
        (folder / name).unlink()
        return found

    return made


def mismatched(folder: Path) -> dict[str, str]:
    return certificate(folder) | {"HTTP_HTTPS_PRIVATE_KEY": str(folder / "other.pem")}


def on_socket(**options: str) -> Callable[[Path], dict[str, str]]:
    def made(folder: Path) -> dict[str, str]:
        (folder / "file").write_text("precious")
        given = {"BIND_SOCKET": str(folder / "s.sock")} | options
        found = {key: value.replace("FOLDER", str(folder)) for key, value in given.items()}
        return {"HTTP_UNIX_SOCKET_ENABLED": "true"} | {f"HTTP_{k}": v for k, v in found.items()}

    return made


def store_holding(content: bytes) -> Callable[[Path], dict[str, str]]:
    def made(folder: Path) -> dict[str, str]:
        (folder / "users.db").write_bytes(content)
        (folder / "users.db").chmod(0o600)
        return {}

    return made


def vanished(folder: Path) -> dict[str, str]:
    SqliteStore(folder / "users.db").close()
    (folder / "users.db").unlink()
    return {}


def damaged(folder: Path) -> dict[str, str]:
    path = folder / "users.db"
    SqliteStore(path).close()
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 20_000)
    return {}


def dangling(folder: Path) -> dict[str, str]:
    (folder / "audit.log").symlink_to(folder / "not-there")
    return {"AUDIT_FILE": str(folder / "audit.log")}


CASES: list[tuple[Callable[[Path], dict[str, str]], str]] = [
    (tls_without("cert.pem"), "cannot read .*cert.pem: No such file"),
    (tls_without("key.pem"), "cannot read .*key.pem: No such file"),
    (mismatched, "key values mismatch"),
    (on_socket(BIND_SOCKET="FOLDER/no/s.sock"), "cannot listen on .*: No such file"),
    (on_socket(BIND_SOCKET="FOLDER/" + "x" * 200), "cannot listen on .*: .* too long"),
    (on_socket(BIND_SOCKET="FOLDER/file"), "there is a file of that name"),
    (on_socket(UNIX_SOCKET_GROUP="no-such-group"), "no such group"),
    (lambda folder: {"AUDIT_FILE": str(folder)}, "audit file .*: Is a directory"),
    (lambda folder: {"AUDIT_FILE": str(folder / "no" / "file")}, "audit file .*: No such file"),
    (dangling, "audit file .*: it is a symbolic link to a file that does not exist"),
    (lambda folder: {"STORE_PATH": str(folder / "no" / "users.db")}, "there is no folder"),
    (store_holding(b""), "is an empty file"),
    (store_holding(b"no store at all, but some text" * 10), "it is damaged, or no store at all"),
    (vanished, "is gone, but users.db.lock says that there was one"),
    (damaged, "damaged"),
]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("make", "reason"), CASES)
def test_what_serve_refuses_is_found_before(
    tmp_path: Path, make: Callable[[Path], dict[str, str]], reason: str
) -> None:
    environment = settings(tmp_path, **make(tmp_path))
    before = files(tmp_path)
    status, lines = checked(environment)
    assert status == 1 and files(tmp_path) == before
    (line,) = lines
    assert re.search(reason, line), line
    assert served(environment)[-1] == line


def test_everything_is_found_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    made = tls_without("cert.pem")(tmp_path) | {"AUDIT_FILE": "/nowhere/file"}
    environment = settings(tmp_path, **made)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        status, lines = checked(environment | {"HEADGATE_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}"})
    assert status == 1
    assert [line.partition(":")[0] for line in lines] == [
        f"cannot read {tmp_path / 'cert.pem'}",
        "cannot listen on 127.0.0.1",
        "audit file /nowhere/file",
    ]
    assert lines[1].endswith(f"{port}: Address already in use")


def test_a_sound_configuration_is_well_and_nothing_is_made(tmp_path: Path) -> None:
    made = certificate(tmp_path) | on_socket()(tmp_path)
    group = grp.getgrgid(os.getegid()).gr_name
    environment = settings(
        tmp_path, **made, HTTP_UNIX_SOCKET_GROUP=group, AUDIT_FILE=str(tmp_path / "audit.log")
    )
    before = files(tmp_path)
    assert checked(environment) == (0, ["configuration OK"])
    assert files(tmp_path) == before


def test_a_store_is_neither_upgraded_nor_touched(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    create_old_store(path, version=1)
    path.chmod(0o600)
    before = files(tmp_path)
    assert checked(settings(tmp_path)) == (0, ["configuration OK"])
    assert files(tmp_path) == before


@pytest.mark.parametrize("keep", [True, False])
def test_a_store_that_lost_its_last_changes_is_found(
    serve_process: Callable[..., ServerProcess], tmp_path: Path, keep: bool
) -> None:
    server = serve_process().bootstrap("CREATE DATABASE db")
    server.kill()
    log = server.store.with_name(server.store.name + "-wal")
    assert log.stat().st_size
    if not keep:
        log.unlink()
    environment = settings(tmp_path, STORE_PATH=str(server.store))
    names = sorted(path.name for path in tmp_path.iterdir())
    status, lines = checked(environment)
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    if keep:
        assert (status, lines) == (0, ["configuration OK"])
    else:
        assert status == 1 and "was cut or removed" in lines[0]
        assert served(environment)[-1] == lines[0]


def test_a_running_server_is_left_alone(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve().bootstrap()
    environment = settings(tmp_path, STORE_PATH=str(server.store))
    assert checked(environment) == (0, ["configuration OK"])
    taken = {"HEADGATE_HTTP_BIND_ADDRESS": f"127.0.0.1:{server.port}"}
    assert checked(environment | taken)[0] == 1
    assert not server.query("CREATE DATABASE db").error


@pytest.mark.parametrize(
    ("networks", "wide"),
    [
        ('["0.0.0.0/0"]', "0.0.0.0/0"),
        ('["127.0.0.0/8", "::/0"]', "::/0"),
        ('["0.0.0.0/1", "128.0.0.0/1"]', "0.0.0.0/1, 128.0.0.0/1"),
        ('["10.0.0.0/8", "fd00::/16"]', ""),
    ],
)
def test_proxies_of_any_address_are_warned_of(tmp_path: Path, networks: str, wide: str) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(f"[gateway]\ntrusted-proxies = {networks}\n")
    status, lines = checked(settings(tmp_path), "--config", str(path))
    assert status == 0 and lines[-1] == "configuration OK"
    assert [f"trusted-proxies has {wide}" in line for line in lines[:-1]] == [True] * bool(wide)


@pytest.mark.parametrize(
    ("sign_up", "policy", "warned"),
    [
        ("true", "none", False),
        ("true", "non_admin", True),
        ("true", "any", True),
        ("false", "any", False),
    ],
)
def test_sign_ups_by_a_name_that_an_account_takes_over_are_warned_of(
    tmp_path: Path, sign_up: str, policy: str, warned: bool
) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(
        f"[auth]\nsignup-enabled = {sign_up}\n[auth.proxy]\nenabled = true\n"
        f'whitelist = ["127.0.0.1"]\nadopt-existing = "{policy}"\n'
    )
    status, lines = checked(settings(tmp_path), "--config", str(path))
    assert status == 0 and lines[-1] == "configuration OK"
    assert ["adopt-existing of [auth.proxy]" in line for line in lines[:-1]] == [True] * warned


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o644, True)])
def test_a_private_key_that_others_may_read_is_warned_of(
    tmp_path: Path, mode: int, warned: bool
) -> None:
    environment = settings(tmp_path, **certificate(tmp_path))
    (tmp_path / "key.pem").chmod(mode)
    status, lines = checked(environment)
    assert status == 0 and lines[-1] == "configuration OK"
    assert ["key.pem (mode" in line for line in lines[:-1]] == [True] * warned


def test_a_start_warns_too(serve: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text(
        "[http]\nshared-secret = 'a-secret-of-more-than-thirty-two-bytes'\n"
        "[gateway]\ntrusted-proxies = ['0.0.0.0/0']\n"
    )
    path.chmod(0o644)
    log = serve("--config", str(path)).log()
    assert "trusted-proxies has 0.0.0.0/0" in log
    assert f"users other than its owner can use {path} (mode 0644), which holds a secret" in log
    assert "a-secret-of" not in log


def test_upstreams_are_connected_to_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "headgate.toml"
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        urls = [f"http://127.0.0.1:{silent.getsockname()[1]}", f"http://127.0.0.1:{free_port()}"]
        path.write_text(f"[[gateway.upstream]]\nname = 'one'\nurls = {json.dumps(urls)}\n")
        environment = settings(tmp_path)
        assert checked(environment, "--config", str(path))[0] == 0
        status, lines = checked(environment, "--config", str(path), "--connect")
    assert status == 1 and len(lines) == 2
    for url, line, reason in zip(urls, lines, ("no answer within", "refused"), strict=True):
        assert "'one'" in line and url in line and reason in line


def test_connecting_belongs_to_checking() -> None:
    done = run_headgate("serve", "--connect")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "expected --check beside it" in done.stderr


@pytest.mark.parametrize("format", ["text", "json"])
def test_every_line_of_a_server_has_its_time(
    serve_process: Callable[..., ServerProcess], format: str
) -> None:
    server = serve_process(HEADGATE_HTTP_LOG_FORMAT=format).bootstrap()
    server.stop(signal.SIGTERM)
    lines = server.log().splitlines()
    assert len(lines) > 4
    assert all(line.startswith(("time=2", '{"time": "2')) for line in lines), lines
    refused = LocalServer(server.store, environment={"HEADGATE_HTTP_REALM": "\u00fc"})
    assert refused.attempt()
    assert all(line.startswith(("time=2", '{"time": "2')) for line in refused.log().splitlines())
