"""Signals that must not end a server, and what a killed one leaves behind."""

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from support.server_process import ServerProcess
from support.waiting import poll_until


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigusr1_writes_the_stacks_and_ends_nothing(
    serve_process: Callable[..., ServerProcess], workers: str
) -> None:
    server = serve_process("--workers", workers).bootstrap()
    assert server.process is not None
    processes = {server.process.pid} | (server.workers() if workers == "2" else set())
    for pid in processes:
        known = server.log().count("Current thread")
        os.kill(pid, signal.SIGUSR1)
        # The stack of the current thread is written behind the others.
        poll_until(
            lambda known=known: server.log().count("Current thread") > known,  # type: ignore[misc]
            "stacks are written",
        )
    assert "audit_writer.py" in server.log()
    os.killpg(server.process.pid, signal.SIGUSR2)
    os.killpg(server.process.pid, signal.SIGUSR1)
    assert server.query("SHOW DATABASES").status == 200
    now = {server.process.pid} | (server.workers() if workers == "2" else set())
    assert now == processes
    assert server.stop() == 0


def test_signals_while_it_starts_end_neither_server_nor_workers(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process("--workers", "2").bootstrap()
    assert server.process is not None
    old = server.workers()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    poll_until(lambda: len(server.workers() - old) == 2, "they are replaced")
    new = server.workers() - old
    for _ in range(20):
        os.killpg(server.process.pid, signal.SIGUSR1)  # the new ones are not ready yet
    poll_until(server.answers, "it serves again")
    assert server.workers() == new
    assert server.stop() == 0


def folders(where: Path) -> set[Path]:
    return set(where.glob("headgate-metrics-*"))


def test_the_next_start_removes_what_a_killed_server_left(
    serve_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    there = {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    killed = serve_process("--workers", "2", **there).bootstrap()
    alive = serve_process("--workers", "2", **there).bootstrap()
    before = folders(tmp_path / "tmp")
    assert len(before) == 2
    killed.kill()
    assert folders(tmp_path / "tmp") == before
    third = serve_process("--workers", "2", **there)
    assert len(folders(tmp_path / "tmp")) == 2
    assert len(folders(tmp_path / "tmp") & before) == 1
    assert b"headgate_http_requests_total" in alive.request("GET", "/metrics").body
    assert (third.stop(), alive.stop()) == (0, 0)
    assert not folders(tmp_path / "tmp")


def test_a_folder_without_a_proof_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headgate_server.telemetry.metrics_folder import create_owned_folder

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "headgate-metrics-other").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "headgate-metrics-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "owner").touch()
    (tmp_path / "headgate-metrics-dead").mkdir()
    (tmp_path / "headgate-metrics-dead" / "owner").touch()
    with create_owned_folder() as folder:
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {
            *("headgate-metrics-other", "elsewhere", "headgate-metrics-link"),
            Path(folder).name,
        }
