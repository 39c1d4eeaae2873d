"""Draws the pictures of shell.md: types into the shell on a real terminal, and saves each screen.

PYTHONPATH=tests docs/screens.py      needs tmux

The screens are real; only the port is replaced by the default one. Uses rich.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness import Server
from support.shell_program import HEADGATE
from support.tmux import Tmux

FOLDER = Path(__file__).parent / "screens"
WIDTH_COLUMNS = 100
# The toolbar shows the user's role as soon as the names have been fetched.
READY_PATTERN = r"root \(admin\) · "
SVG_TEMPLATE = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" xml:space="preserve">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def picture(screen: str, name: str) -> None:
    """Writes *screen*, text with escape sequences of colours, as `screens/NAME.svg`."""
    console = Console(record=True, width=WIDTH_COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen.rstrip("\n")), soft_wrap=True)
    svg = console.export_svg(title="headgate shell", code_format=SVG_TEMPLATE, unique_id=name)
    (FOLDER / f"{name}.svg").write_text("\n".join(map(str.rstrip, svg.splitlines())) + "\n")


def completion(shell: Tmux) -> None:
    """Completes the user of a GRANT."""
    shell.type("GRANT READ ON telegraf TO ")
    shell.wait("todd +user")


def entry(shell: Tmux) -> None:
    """Types a statement of two lines with a masked password."""
    shell.enter("CREATE USER grafana")
    shell.wait(r"\n\.\.\.")
    shell.type("WITH PASSWORD 'not to be seen'")
    shell.wait(r"\*{16}")


def login(shell: Tmux) -> None:
    """Logs in with a wrong and a right password, and runs a statement without its privilege."""
    shell.enter("auth")
    shell.wait("username:")
    shell.enter("todd")
    shell.wait("password:")
    shell.enter("wrong")
    shell.wait("ERR: authorization failed")
    shell.enter("auth todd s3cret")
    shell.wait("Logged in as todd")
    shell.enter("SHOW USERS")
    shell.wait("not authorized")
    shell.enter("SHOW DATABASES")
    shell.wait("(?s)name: databases.*todd · ")


def layouts(shell: Tmux) -> None:
    """Shows the formats table and vertical."""
    shell.enter("format table")
    shell.wait("format table\n>")
    shell.enter("SHOW USERS")
    shell.wait(r"\(3 rows\)")
    shell.enter("format vertical")
    shell.wait("format vertical\n>")
    shell.enter("SHOW GRANTS FOR todd")
    shell.wait("-- row 1")


def markdown(shell: Tmux) -> None:
    """Shows the formats markdown, csv, json and indented json."""
    lasts = {"markdown": r"\| collectd \|\n\n>", "csv": "databases,collectd\n>", "json": "}\n>"}
    for format, last in lasts.items():
        shell.enter(f"format {format}")
        shell.wait(f"format {format}\n>")
        shell.enter("SHOW DATABASES")
        shell.wait(last)
    shell.enter("pretty")
    shell.wait("Pretty print enabled")


def questions(shell: Tmux) -> None:
    """Declines the confirmation of DROP USER, and shows that of DROP DATABASE."""
    shell.enter("DROP USER root")
    shell.wait("be managed. Do it")
    shell.press("Enter")
    shell.wait("Not done")
    shell.enter("DROP DATABASE collectd")
    shell.wait("deleted. Do it")


def watch(shell: Tmux) -> None:
    """Repeats a statement until Ctrl-C, and switches timing on."""
    shell.enter("watch 0.5 SHOW DATABASES")
    shell.wait("(?s)every 0.5 s.*every 0.5 s")
    shell.press("C-c")
    shell.wait(r"\^C\n>")
    shell.enter("timing")
    shell.wait("Timing enabled")


def short(shell: Tmux) -> None:
    """Runs the commands `\\du` and `\\password`."""
    shell.enter(r"\du")
    shell.wait("todd +false")
    shell.enter(r"\du todd")
    shell.wait("telegraf READ")
    shell.enter(r"\password todd")
    shell.wait("new password:")
    shell.enter("s3cret")
    shell.wait("once more:")
    shell.enter("s3cret")
    shell.wait("New password set")


def context(shell: Tmux) -> None:
    """Selects a database, fails to connect elsewhere, and lists the settings."""
    shell.enter("use telegraf")
    shell.wait("Using database telegraf")
    shell.enter("connect nowhere.invalid:8086")
    shell.wait("ERR: cannot reach")
    shell.enter("settings")
    shell.wait("Chunk Size")


def show_help(shell: Tmux) -> None:
    """Prints the help."""
    shell.enter("help")
    shell.wait("SHOW GRANTS FOR todd")


def mistakes(shell: Tmux) -> None:
    """Shows a parse error and the history."""
    shell.enter("SHOW GRANTS FRO todd")
    shell.wait("ERR: error parsing")
    shell.enter("history 3")
    shell.wait(r"settings\nSHOW GRANTS FRO todd\n>")


# Each with a window height, in lines, that shows the whole scene.
SCENES: dict[str, tuple[Callable[[Tmux], None], int]] = {
    "completion": (completion, 12),
    "entry": (entry, 14),
    "auth": (login, 24),
    "layouts": (layouts, 27),
    "formats": (markdown, 30),
    "questions": (questions, 16),
    "watch": (watch, 27),
    "short": (short, 24),
    "context": (context, 28),
    "mistakes": (mistakes, 20),
    "help": (show_help, 48),
}


def main() -> int:
    """Starts a server and records all scenes; returns the exit status."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "users.db").start()
        try:
            server.bootstrap(
                "CREATE DATABASE telegraf; CREATE DATABASE collectd; CREATE USER grafana WITH "
                "PASSWORD 'g'; CREATE USER todd WITH PASSWORD 's3cret'; "
                "GRANT READ ON telegraf TO todd"
            )
            where = ["-host", "127.0.0.1", "-port", str(server.port)]
            for name, (scene, height) in SCENES.items():
                record(Path(folder), where, READY_PATTERN, scene, name, height)
        finally:
            server.stop()
        record(
            Path(folder), ["-store", str(server.store)], "administrator · ", completion, "store", 12
        )
    return 0


def record(
    folder: Path,
    flags: list[str],
    ready: str,
    scene: Callable[[Tmux], None],
    name: str,
    height: int,
) -> None:
    """Runs *scene* in a shell with *flags* and writes its last screen."""
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment |= {"HOME": str(folder), "TERM": "screen-256color", "LC_ALL": "C.UTF-8"}
    environment |= {"INFLUX_USERNAME": "root", "INFLUX_PASSWORD": "Toor-1"}
    with Tmux(folder, [*HEADGATE, *flags], environment, (WIDTH_COLUMNS, height)) as shell:
        shell.wait(ready)
        scene(shell)
        screen = shell.screen(colours=True)
    screen = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8086", screen)
    picture(screen.replace(f"{folder}/", ""), name)


if __name__ == "__main__":
    sys.exit(main())
