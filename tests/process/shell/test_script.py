"""The shell as a script uses it: a process, its output, its exit status."""

import os
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from support.servers import Server
from support.shell_program import HEADGATE, LOGIN, shell
from support.waiting import free_port


def test_statements_lines_and_exit_statuses(metrics_server: Server) -> None:
    done = shell(metrics_server, *LOGIN, "-execute", "SHOW USERS\n\nSHOW GRANTS FOR alice\n")
    assert done.stdout == (
        "user  admin\n----  -----\nroot  true\nalice false\n"
        "database privilege\n-------- ---------\nmetrics  READ\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = shell(metrics_server, *LOGIN, "-execute", "DROP USER nobody\nSHOW USERS")
    assert done.returncode == 1
    assert done.stdout.startswith("ERR: user not found\nWarning: It is possible")
    assert done.stderr == "user not found\n" and "alice" not in done.stdout


def test_standard_input_is_one_query(metrics_server: Server) -> None:
    done = shell(
        metrics_server, *LOGIN, "-format", "csv", stdin="-- all\nSHOW USERS;\nSHOW\n DATABASES"
    )
    assert done.stdout == "user,admin\nroot,true\nalice,false\nname,name\ndatabases,metrics\n"
    assert shell(metrics_server, *LOGIN, stdin="").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "answer"),
    [
        ((), {}, "unable to parse authentication credentials"),
        ((), {"INFLUX_USERNAME": "alice", "INFLUX_PASSWORD": "wonder"}, "metrics"),
        (("-username", "alice"), {"INFLUX_PASSWORD": "wonder"}, "metrics"),
        (("-password", "wonder"), {"INFLUX_USERNAME": "alice"}, "metrics"),
        (LOGIN, {"INFLUX_USERNAME": "alice", "INFLUX_PASSWORD": "x"}, "metrics"),
        (LOGIN, {"HEADGATE_TOKEN": "a.bad.token"}, "metrics"),
        ((), {"HEADGATE_TOKEN": "a.bad.token", "INFLUX_USERNAME": "alice"}, "bearer auth disabled"),
        ((), {"INFLUX_USERNAME": "alice", "INFLUX_PASSWORD": "x"}, "authorization failed"),
    ],
)
def test_the_login_comes_from_flags_or_environment(
    metrics_server: Server, arguments: tuple[str, ...], environment: dict[str, str], answer: str
) -> None:
    done = shell(metrics_server, *arguments, "-execute", "SHOW DATABASES", **environment)
    assert answer in done.stdout


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("auth alice wonder\nSHOW DATABASES", "name: databases\nname\n----\nmetrics\n"),
        ("use metrics", "Using database metrics\n"),
        ('USE "metrics";', "Using database metrics\n"),
        (
            "use nowhere",
            "ERR: Database nowhere doesn't exist. Run SHOW DATABASES for a list of"
            " existing databases.\nDB does not exist!\n",
        ),
        (
            "format json\nSHOW DATABASES",
            '{"results":[{"series":[{"name":"databases","columns":'
            '["name"],"values":[["metrics"]]}]}]}\n',
        ),
        ("format table", 'Unknown format "table". Please use json, csv, or column.\n'),
        ("chunked\nchunked;", "chunked reponses disabled\nchunked responses enabled\n"),
        (
            "chunk size 5\nchunk many",
            'chunk size set to 5\nunable to parse chunk size from "many"\n',
        ),
        ("consistency one\nnode 3\nnode clear", ""),
        ("precision year", 'Unknown precision "year". Please use rfc3339, h, m, s, ms, u or ns.\n'),
        ("pretty\npretty", "Pretty print enabled\nPretty print disabled\n"),
        ("use metrics\nclear db", "Using database metrics\ndatabase context cleared\n"),
        ("exit\nSHOW USERS", ""),
    ],
)
def test_commands(metrics_server: Server, text: str, answer: str) -> None:
    done = shell(metrics_server, *LOGIN, "-execute", text)
    assert (done.stdout, done.returncode) == (answer, 0)


def test_settings_and_help_are_shown(metrics_server: Server) -> None:
    done = shell(metrics_server, *LOGIN, "-database", "x", "-execute", "settings\nhelp")
    assert "Username          root\nDatabase          x\n" in done.stdout
    assert "Toor-1" not in done.stdout and "auth" in done.stdout


def test_what_cannot_be_done_says_so(metrics_server: Server) -> None:
    dead = free_port()
    done = shell(dead, "-execute", "SET PASSWORD FOR root = 'Zk7hidden'")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f'Failed to connect to http://127.0.0.1:{dead}: Get "http://127.0.0.1:{dead}/ping":'
        f" dial tcp 127.0.0.1:{dead}: connect: connection refused\n"
    )
    assert "Zk7hidden" not in done.stderr
    assert shell(metrics_server, "-password", "", "-execute", "SHOW USERS").stderr == (
        "unable to prompt for a password with no TTY\n"
    )
    done = shell(metrics_server, "-frobnicate")
    assert done.returncode == 2
    assert done.stderr == "flag provided but not defined: -frobnicate\n"
    done = shell(metrics_server, "-prot", "8086")
    assert done.stderr == "flag provided but not defined: -prot\ndid you mean -port?\n"
    for line, error in (
        ("\\du none", "user not found: none"),
        ("\\dp none", "no user and no database has the name none"),
    ):
        done = shell(metrics_server, *LOGIN, "-execute", line)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"ERR: {error}\n")
    done = shell(metrics_server, "SHOW", "USERS")
    assert (done.returncode, done.stderr) == (1, "unknown arguments: SHOW USERS\n")
    done = shell(metrics_server, *LOGIN, "-execute", "auth")
    assert (done.returncode, done.stdout) == (1, "") and "no terminal" in done.stderr
    assert shell(70000, "-execute", "x").returncode == 1
    assert shell(metrics_server, "-host", "a b", "-execute", "x").returncode == 1
    assert "Traceback" not in shell(metrics_server, "-host", "a\nb", "-execute", "x").stderr


def test_an_answer_that_is_no_json_is_said_to_be_none() -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def do_POST(self) -> None:
            self.send_response(502)
            self.end_headers()
            self.wfile.write(b"<html>bad gateway</html>")

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        done = shell(proxy.server_port, "-execute", "SHOW USERS")
        proxy.shutdown()
    assert done.returncode == 1
    assert "ERR: received status code 502 from server\n" in done.stdout


def test_names_of_any_script_come_out_whatever_the_locale(metrics_server: Server) -> None:
    metrics_server.query('CREATE DATABASE "用户 ünï"')
    command = [*HEADGATE, "-port", str(metrics_server.port), *LOGIN, "-execute", "SHOW DATABASES"]
    # A new interpreter opens its streams by the environment.
    for given in ({"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"PYTHONIOENCODING": "ascii"}):
        done = subprocess.run(
            command, env=os.environ | given, capture_output=True, check=True, timeout=60
        )
        assert "用户 ünï" in done.stdout.decode()


def test_scripts_do_not_import_the_libraries_for_people() -> None:
    code = (
        "import sys; sys.argv = ['headgate', 'shell', '-version']\n"
        "from headgate.__main__ import main; main()\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    for library in ("prompt_toolkit", "lark", "starlette", "apsw"):
        assert repr(library) not in done.stdout


def test_a_pipe_that_closes_early_is_no_crash(
    metrics_server: Server, serve: Callable[..., Server]
) -> None:
    many = "; ".join(f"CREATE DATABASE d{number}" for number in range(300))
    metrics_server.query(many)
    command = " ".join([*HEADGATE, "-host 127.0.0.1 -port", str(metrics_server.port), *LOGIN])
    done = subprocess.run(
        f"{command} -execute '{'; '.join(['SHOW DATABASES'] * 200)}' | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
