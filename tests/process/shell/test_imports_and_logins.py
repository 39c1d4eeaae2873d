"""The shell as a tool: on a store file, importing, going elsewhere, with a token, in formats."""

import gzip
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest

from headgate_shell.backends.base import Points, Response
from headgate_shell.commands.insert import parse_insert
from headgate_shell.output.headgate_formats import format_markdown, format_table, format_vertical
from headgate_shell.session import Session
from support.influxd import Influxd
from support.servers import Server
from support.shell_program import LOGIN, shell
from support.waiting import free_port

REAL_LOGIN = ("-username", "root", "-password", "x")
SECRET = "a secret of some length, for tokens"


def test_a_store_file_needs_no_server(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve().bootstrap("CREATE DATABASE metrics")
    store = str(server.store)
    done = shell(0, "-store", store, "-execute", "SET PASSWORD FOR root = 'n3w-pass'\nSHOW USERS")
    assert (done.returncode, done.stdout) == (0, "user admin\n---- -----\nroot true\n")
    assert server.query("SHOW USERS", ("root", "n3w-pass")).status == 200
    wrong = shell(0, "-store", store, "-execute", "SHOW USRS")
    assert wrong.returncode == 1 and "found USRS, expected" in wrong.stderr
    assert shell(0, "-store", store, stdin="DROP USER root").stderr == (
        "cannot remove the last admin user\n"
    )
    missing = shell(0, "-store", str(tmp_path / "none.db"), "-execute", "SHOW USERS")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert not (tmp_path / "none.db").exists()


def test_a_token_logs_in(serve: Callable[..., Server]) -> None:
    server = serve(HEADGATE_HTTP_SHARED_SECRET=SECRET).bootstrap()
    token = jwt.encode({"username": "root", "exp": time.time() + 60}, SECRET, "HS256")
    assert "root true" in shell(server.port, "-token", token, "-execute", "SHOW USERS").stdout
    wrong = shell(server.port, "-token", "x.y.z", "-execute", "SHOW USERS")
    assert wrong.returncode == 1 and "x.y.z" not in wrong.stderr


def test_connect_stays_where_it_was_if_no_server_is_there(serve: Callable[..., Server]) -> None:
    one, other = serve().bootstrap("CREATE DATABASE one"), serve().bootstrap("CREATE DATABASE two")
    text = f"connect 127.0.0.1:{other.port}\nSHOW DATABASES"
    assert "two" in shell(one.port, *LOGIN, "-execute", text).stdout
    dead = free_port()
    done = shell(one.port, *LOGIN, "-execute", f"connect 127.0.0.1:{dead}\nSHOW DATABASES")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"dial tcp 127.0.0.1:{dead}: connect: connection refused\n")
    assert "is not HOST:PORT" in shell(one.port, *LOGIN, "-execute", "connect x:y").stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("insert cpu v=1", Points("cpu v=1", "db", "rp")),
        ("INSERT into x cpu v=1", Points("cpu v=1", "db", "x")),
        ("insert into a.b cpu v=1 10", Points("cpu v=1 10", "a", "b")),
        ('insert into "a b"."c.d" cpu v=1', Points("cpu v=1", "a b", "c.d")),
        (r'insert into "a\"b".c cpu v=1', Points("cpu v=1", 'a"b', "c")),
        ("insert into a. cpu v=1", Points("cpu v=1", "a", "")),
        ("insert intox v=1", Points("intox v=1", "db", "rp")),
        ("insert", Points("", "db", "rp")),
    ],
)
def test_where_a_point_goes(line: str, expected: Points) -> None:
    session = Session(database="db").copy_with(retention_policy="rp")
    assert parse_insert(line, session) == expected


EXPORT = """\
# DDL
CREATE DATABASE imp
CREATE USER broken
# DML
# CONTEXT-DATABASE: imp
# CONTEXT-RETENTION-POLICY: autogen
cpu v=1 1

# a comment
cpu v=2 2
cpu v=3 3"""


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    if shutil.which("influxd") is None and not os.environ.get("CI"):
        pytest.skip("Debian's influxdb is not installed")
    with Influxd(tmp_path_factory.mktemp("influxd")) as influxd:
        influxd.query("CREATE USER root WITH PASSWORD 'x' WITH ALL PRIVILEGES", None)
        yield influxd


@pytest.mark.parametrize("compressed", [False, True])
def test_an_export_is_imported(influxd: Influxd, tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "export"
    path.write_bytes(gzip.compress(EXPORT.encode()) if compressed else EXPORT.encode())
    flags = ("-import", "-path", str(path), *(["-compressed"] if compressed else []))
    done = shell(influxd.port, *REAL_LOGIN, *flags, "-pps", "1000")
    assert done.returncode == 0
    said = [line.split(" ", 2)[2] for line in done.stdout.splitlines()]
    assert said == ["Processed 2 commands", "Processed 3 inserts", "Failed 0 inserts"]
    assert " error: error parsing query: found EOF, expected WITH" in done.stderr
    rows = shell(
        influxd.port, *REAL_LOGIN, "-database", "imp", "-execute", "SELECT v FROM cpu"
    ).stdout
    assert rows == "name: cpu\ntime v\n---- -\n1    1\n2    2\n3    3\n"


def test_points_that_are_refused_fail_an_import(influxd: Influxd, tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text("# DML\n# CONTEXT-DATABASE: nowhere\ncpu v=1\ncpu v=2\n")
    done = shell(influxd.port, *REAL_LOGIN, "-import", "-path", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "error writing batch: " in done.stderr
    assert done.stderr.endswith("cpu v=1\ncpu v=2\nERROR: 2 points were not inserted\n")


MIXED = """\
# DDL
CREATE DATABASE mixed
# DML
# CONTEXT-DATABASE: mixed
cpu v=1 1
cpu v=2 2
# CONTEXT-DATABASE: nowhere
cpu v=3 3
"""


def test_an_import_sums_up_whatever_was_written(influxd: Influxd, tmp_path: Path) -> None:
    path = tmp_path / "export"
    for content, status, summary in (
        (MIXED, 1, ["Processed 1 commands", "Processed 2 inserts", "Failed 1 inserts"]),
        ("# DDL\nCREATE DATABASE mixed\n# DML\n", 0, []),
    ):
        path.write_text(content)
        done = shell(influxd.port, *REAL_LOGIN, "-import", "-path", str(path))
        assert done.returncode == status
        assert [line.split(" ", 2)[2] for line in done.stdout.splitlines()] == summary
        assert done.stderr.endswith("ERROR: 1 point was not inserted\n") == (status == 1)


def test_an_import_that_breaks_off_sums_up_what_was_written(
    influxd: Influxd, tmp_path: Path
) -> None:
    path = tmp_path / "export.gz"
    lines = "".join(f"cpu v=1 {number}\n" for number in range(60_000))
    whole = gzip.compress(
        f"# DDL\nCREATE DATABASE cut\n# DML\n# CONTEXT-DATABASE: cut\n{lines}".encode()
    )
    path.write_bytes(whole[: len(whole) // 2])
    done = shell(influxd.port, *REAL_LOGIN, "-import", "-compressed", "-path", str(path))
    assert done.returncode == 1 and done.stderr.endswith("truncated or damaged\n")
    said = [line.split(" ", 2)[2] for line in done.stdout.splitlines()]
    assert said[0] == "Processed 1 commands" and said[2] == "Failed 0 inserts"
    written = int(said[1].split()[1])
    assert 0 < written < 60_000 and written % 5000 == 0


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (("-import",), "ERROR: file argument required\n"),
        (("-import", "-path", "/no/such"), "ERROR: open /no/such: no such file or directory\n"),
        (("-import", "-path", "/dev/null", "-type", "flux"), "expected influxql"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    influxd: Influxd, flags: tuple[str, ...], error: str
) -> None:
    done = shell(influxd.port, *REAL_LOGIN, *flags)
    assert done.returncode in (1, 2) and error in done.stderr and done.stderr.count("\n") == 1


RESPONSE = Response(
    [
        {"series": [{"columns": ["user", "admin"], "values": [["日本", True], ["a|b\n", None]]}]},
        {"series": [{"name": "m", "tags": {"b": "1"}, "columns": ["v"]}]},
    ]
)


def test_a_table_has_a_frame() -> None:
    assert format_table(RESPONSE) == (
        "+-------+-------+\n| user  | admin |\n+-------+-------+\n| 日本  | true  |\n"
        "| a|b\\n |       |\n+-------+-------+\n(2 rows)\n"
        "m b=1\n+---+\n| v |\n+---+\n+---+\n(0 rows)\n"
    )


def test_upright_a_value_has_a_line() -> None:
    assert format_vertical(RESPONSE) == (
        "-- row 1\nuser   日本\nadmin  true\n-- row 2\nuser   a|b\\n\nadmin  \nm b=1\n"
    )


def test_markdown_is_a_table_of_markdown() -> None:
    assert format_markdown(RESPONSE) == (
        "| user | admin |\n| --- | --- |\n| 日本 | true |\n| a\\|b\\n |  |\n\n"
        "**m b=1**\n\n| v |\n| --- |\n\n"
    )
