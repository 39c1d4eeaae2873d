"""The shell on a real terminal. The folder `screens` stores the expected screens as text.

With UPDATE_SCREENS=1 in the environment the files are written again.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.local_server import LocalServer
from support.servers import Server
from support.shell_program import HEADGATE
from support.tmux import Tmux, needs_tmux

pytestmark = needs_tmux
SCREENS = Path(__file__).parent / "screens"
ON_SCREEN = re.compile(r"127\.0\.0\.1:\d+")
TIME = re.compile(r"\b\d+\.\d{3} s")
# The status line shows the user as soon as the names have been fetched.
READY = r"root \(admin\) · http"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = LocalServer(tmp_path_factory.mktemp("server") / "users.db").start()
    server.bootstrap(
        'CREATE DATABASE metrics; CREATE DATABASE "tele metry"; CREATE USER alice WITH '
        "PASSWORD 'wonder'; CREATE USER al WITH PASSWORD 'x'; GRANT READ ON metrics TO alice"
    )
    yield server
    server.stop()


@pytest.fixture
def terminal(ready: Server, tmp_path: Path) -> Callable[..., Tmux]:
    def opened(*flags: str, **environment: str) -> Tmux:
        home = tmp_path / "home"
        home.mkdir()
        clean = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        clean |= {"HOME": str(home), "TERM": "screen-256color", "LC_ALL": "C.UTF-8"}
        clean |= {"INFLUX_USERNAME": "root", "INFLUX_PASSWORD": "Toor-1"}
        command = [*HEADGATE, "-host", "127.0.0.1", "-port", str(ready.port), *flags]
        return Tmux(tmp_path, command, clean | environment)

    return opened


def seen(screen: str, name: str) -> None:
    """Checks that *screen* equals the stored screen, except for ports and times."""
    text = TIME.sub("N s", ON_SCREEN.sub("127.0.0.1:PORT", screen))
    path = SCREENS / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def test_the_first_screen(terminal: Callable[..., Tmux]) -> None:
    with terminal() as shell:
        seen(shell.wait(READY), "first")


def test_auth_right_and_wrong(terminal: Callable[..., Tmux]) -> None:
    with terminal() as shell:
        shell.wait(READY)
        shell.enter("auth")
        shell.wait("username:")
        shell.enter("alice")
        shell.wait("password:")
        shell.enter("wrong")
        # Text that is typed before the prompt would be on the screen twice.
        shell.wait(r"ERR: authorization failed\n>\s*\n")
        shell.enter("auth")
        shell.wait(r"(?s)failed.*username:\s*\n")
        shell.enter("alice")
        shell.wait(r"(?s)failed.*password:\s*\n")
        shell.enter("wonder")
        shell.wait(r"Logged in as alice\n>\s*\n")
        shell.enter("SHOW DATABASES")
        shell.wait(r"(?s)name: databases.*\n>\s*\n")
        shell.type("auth al secret")
        seen(shell.wait(r"auth al \*{6}"), "auth")


def test_the_menu_of_what_may_follow(terminal: Callable[..., Tmux]) -> None:
    with terminal() as shell:
        shell.wait(READY)
        shell.type("GRANT READ ON ")
        shell.wait("metrics +database")
        shell.press("Tab")
        seen(shell.wait(r"(?s)ON metrics\n.*metrics +database"), "menu")
        # Enter accepts the selected completion, and runs nothing.
        shell.press("Enter")
        shell.type(" TO a")
        seen(shell.wait("alice +user"), "menu_users")


def test_a_statement_of_several_lines(terminal: Callable[..., Tmux]) -> None:
    with terminal() as shell:
        shell.wait(READY)
        shell.enter("SHOW GRANTS")
        shell.wait(r"\n\.\.\.")
        shell.enter("FOR alice")
        seen(shell.wait(r"(?s)metrics +READ\n>.*\d s\n"), "lines")


def test_ctrl_c_drops_the_line_and_ctrl_d_leaves(terminal: Callable[..., Tmux]) -> None:
    with terminal() as shell:
        shell.wait(READY)
        shell.type("DROP USER al")
        shell.press("C-c")
        shell.wait(r"\^C")
        shell.press("C-d")
        seen(shell.wait(r"\[ended 0\]"), "leaving")


def test_ctrl_c_ends_what_is_watched(terminal: Callable[..., Tmux]) -> None:
    with terminal() as shell:
        shell.wait(READY)
        shell.enter("watch 0.2 SHOW USERS")
        shell.wait("(?s)every 0.2 s.*every 0.2 s")
        shell.press("C-c")
        assert "ERR" not in shell.wait(r"\^C\n>")
        shell.enter("exit")
        shell.wait(r"\[ended 0\]")


def test_another_size_of_the_window(terminal: Callable[..., Tmux]) -> None:
    with terminal() as shell:
        shell.wait(READY)
        shell.enter("SHOW DATABASES")
        shell.wait("tele metry")
        shell.type("SHOW GRANTS FOR alice; SHOW GRANTS FOR al")
        shell.resize(40, 12)
        shell.wait(r"(?s)\.\.\. +al.*root")
        shell.resize(60, 24)
        shell.type("ice; SHOW USERS")
        shell.wait("SHOW USERS")
        shell.press("Enter")
        shell.wait("root +true\nalice false\nal +false\n")


def test_several_lines_are_pasted_as_one(terminal: Callable[..., Tmux]) -> None:
    with terminal() as shell:
        shell.wait(READY)
        shell.paste("SHOW USERS;\nSHOW GRANTS FOR alice;\nSHOW DATABASES")
        shell.wait(r"\.\.\. SHOW DATABASES")
        shell.press("Enter")
        seen(shell.wait(r"(?s)tele metry\n>.*\d s\n"), "paste")


def test_a_dumb_terminal(terminal: Callable[..., Tmux]) -> None:
    with terminal(TERM="dumb") as shell:
        shell.wait("(?m)^>$")
        shell.enter("auth")
        shell.wait("username:")
        shell.enter("alice")
        shell.wait("password:")
        shell.enter("wonder")
        shell.wait(r"Logged in as alice\n>")
        shell.enter("SHOW DATABASES")
        shell.wait(r"metrics\n>")
        shell.enter("exit")
        screen = shell.wait(r"\[ended 0\]")
        assert "wonder" not in screen
        # Early input is echoed twice there: by the terminal, and by the prompt.
        screen = re.sub(r"(username: alice)(\n?alice)+\n", r"\1\n", screen)
        seen(re.sub(r"(?m)^(> ?)?(auth|SHOW DATABASES|exit)*\n", "", screen), "dumb")


def test_no_password_is_left_anywhere(terminal: Callable[..., Tmux], tmp_path: Path) -> None:
    with terminal("-username", "al", INFLUX_PASSWORD="") as shell:
        shell.wait("password for al:")
        shell.enter("x")
        shell.wait("al · http")
        steps = [
            ("auth root Zk7-wrong", "ERR: authorization failed"),
            ("auth root Toor-1", "Logged in as root"),
            ("CREATE USER bob WITH PASSWORD 'Zk7-bob'", "WITH PASSWORD [*]{9}"),
            ("SET PASSWORD FOR bob='Zk7-new'", "bob=[*]{9}"),
            ("AUTH bob Zk7-new", "Logged in as bob"),
            ("Zk7-at-the-wrong-prompt", "ERR: error parsing query: found Zk7"),
            ("auth root Toor-1", "(?s)Logged in as root.*Logged in as root"),
            ("DROP USER bob", "User bob and their grants will be deleted. Do it"),
            ("y", "(?m)^>$"),
        ]
        for line, answer in steps:
            shell.enter(line)
            shell.wait(answer)
        shell.enter("exit")
        shell.wait(r"\[ended 0\]")
    files = {
        path.name: path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()
    }
    assert b"CREATE USER bob WITH PASSWORD [REDACTED]" in files[".headgate_history"]
    for name, kept in files.items():
        assert b"Zk7" not in kept and b"Toor" not in kept, name
