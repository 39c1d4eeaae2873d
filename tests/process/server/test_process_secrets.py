"""What other users of the machine see of a server's process, and what its log leaves out."""

from collections.abc import Callable
from pathlib import Path

from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess


def test_no_secret_is_in_the_list_of_processes(serve_process: Callable[..., ServerProcess]) -> None:
    server = serve_process(
        "--shared-secret", "not-for-everybody-to-see", "--workers", "2", fresh=True
    )
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    for pid in (server.process.pid, *map(int, children.split())):
        shown = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"not-for-everybody" not in shown
    assert (
        b"--shared-secret '[REDACTED]'" in Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
    )


def test_no_core_of_its_memory_is_left(serve_process: Callable[..., ServerProcess]) -> None:
    server = serve_process()
    assert server.process is not None
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if "core file size" in line)
    assert line.split()[4:6] == ["0", "0"]


def test_the_access_log_can_be_turned_off(serve_process: Callable[..., ServerProcess]) -> None:
    server = serve_process(HEADGATE_HTTP_LOG_ENABLED="false").bootstrap()
    assert server.query("SHOW USERS").status == 200
    assert server.stop() == 0
    assert "listening" in server.log() and "method=" not in server.log()


def test_the_value_of_a_misspelt_flag_is_not_shown() -> None:
    for given in (("--shared-secert", "hush-hush"), ("--shared-secert=hush-hush",)):
        done = run_headgate("serve", *given)
        assert done.returncode == 2 and "--shared-secert" in done.stderr
        assert "hush" not in done.stdout + done.stderr
