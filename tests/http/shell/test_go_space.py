"""White space in the shell: Go's definition for commands and imports, InfluxQL's for `insert`."""

from typing import Any

import pytest

from headgate_shell.backends.base import ConnectionSettings, Points, RequestOptions, Response
from headgate_shell.commands.dispatch import is_command, run_command
from headgate_shell.commands.import_file import import_file
from headgate_shell.commands.insert import parse_insert
from headgate_shell.go_space import SPACE, arguments, split_words, trim
from headgate_shell.interactive.history import redacted_entry
from headgate_shell.interactive.key_bindings import is_complete
from headgate_shell.output.influx_formats import format_csv
from headgate_shell.session import Session
from headgate_shell.terminal import Terminal

# BLANKS are white space for influx 1.6.7, as tried. NO_BLANKS are not, though some are for Python.
BLANKS = [" ", "\t", "\v", "\f", "\r", "\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u3000"]
NO_BLANKS = ["\x1c", "\x1d", "\x1e", "\x1f", "\u200b", "\ufeff", "\0"]


class Recorder:
    """Implements `Backend` with one database; records the statements and points received."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.written: list[Points] = []

    def ping(self, connection: ConnectionSettings) -> str:
        return ""

    def query(self, connection: ConnectionSettings, text: str, options: RequestOptions) -> Response:
        self.asked.append(text)
        rows = [["imp"], ["imp\x1c"], ["a.b"], ['to"dd'], ["back\\slash"], ["autogen"]]
        return Response([{"series": [{"columns": ["name"], "values": rows}]}])

    def own_grants(self, connection: ConnectionSettings) -> Response | None:
        return None

    def access(self, connection: ConnectionSettings, name: str) -> Response | None:
        return None

    def account_request(
        self, connection: ConnectionSettings, method: str, path: str, content: object = None
    ) -> None:
        return None

    def change_own_password(self, connection: ConnectionSettings, password: str) -> str | None:
        return None

    def write(self, connection: ConnectionSettings, points: Points, options: RequestOptions) -> str:
        self.written.append(points)
        return ""


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def done(recorder: Recorder, line: str) -> tuple[Session, str]:
    """Runs the command *line*; returns the session and the printed text."""
    session = Session(database="db")
    session.backend = recorder
    printed: list[str] = []
    run_command(line, session, Terminal(printed.append))
    return session, "".join(printed)


@pytest.mark.parametrize("blank", BLANKS, ids=ascii)
def test_influxs_white_space_parts_and_surrounds_words(recorder: Recorder, blank: str) -> None:
    assert blank in SPACE and trim(f"{blank}a{blank}") == "a"
    assert split_words(f"{blank}a{blank}{blank}b{blank}") == ["a", "b"]
    assert split_words(f"{blank}a{blank}b c{blank}", 2) == ["a", f"b c{blank}"]
    assert arguments(f"format{blank}csv{blank};") == "csv"
    assert (
        is_command(f"{blank}use imp")
        and is_complete(blank)
        and redacted_entry(f"{blank}auth{blank}x") == ""
    )
    assert done(recorder, f"use imp{blank};")[0].database == "imp"
    assert done(recorder, f"format{blank}csv{blank}")[0].format == "csv"
    assert done(recorder, f"chunk size{blank}7")[0].chunk_size == 7


@pytest.mark.parametrize("character", NO_BLANKS, ids=ascii)
def test_other_characters_belong_to_the_word(recorder: Recorder, character: str) -> None:
    assert trim(f"{character}a") == f"{character}a" and split_words(f"a{character}b") == [
        f"a{character}b"
    ]
    assert not is_command(f"use{character}imp") and not is_command(f"{character}use imp")
    assert done(recorder, "use imp\x1c")[0].database == "imp\x1c"
    session, printed = done(recorder, "format csv\x1c")
    assert session.format == "column" and 'Unknown format "csv\\x1c"' in printed
    assert 'unable to parse chunk size from "size\\x1f7"' in done(recorder, "chunk size\x1f7")[1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("use\timp", 'Could not parse database name from "use\\timp".\n'),
        ("use\xa0imp", 'Could not parse database name from "use\\u00a0imp".\n'),
        ("clear retention\tpolicy", 'invalid command "retention\\tpolicy".\n'),
        ("node\tclear", "Improper number of arguments for 'node' command, requires exactly one.\n"),
        ('precision "\\', 'Unknown precision "\\"\\\\". Please use'),
        ("consistency é\x07", 'Unknown consistency level "é\\a". Please use'),
        ("chunk size ٣", 'unable to parse chunk size from "٣"\n'),
        ("chunk size 1_0", 'unable to parse chunk size from "1_0"\n'),
    ],
)
def test_messages_quote_as_influx_does(recorder: Recorder, line: str, message: str) -> None:
    assert done(recorder, line)[1].startswith(message)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("insert cpu v=1 2\xa0", Points("cpu v=1 2\xa0", "db", "")),
        ("insert cpu v=1 2 ", Points("cpu v=1 2 ", "db", "")),
        ("insert\vcpu v=1", Points("\vcpu v=1", "db", "")),
        ("\xa0insert\tcpu v=1", Points("cpu v=1", "db", "")),
        ("insert into\timp.autogen cpu v=1", Points("cpu v=1", "imp", "autogen")),
        ("insert into\x1cimp.autogen cpu v=1", Points("into\x1cimp.autogen cpu v=1", "db", "")),
    ],
)
def test_a_point_keeps_what_influxql_takes_for_no_white_space(line: str, expected: Points) -> None:
    assert parse_insert(line, Session(database="db")) == expected


@pytest.mark.parametrize(
    ("text", "database", "policy"),
    [
        ("use imp", "imp", ""),
        ("use imp.autogen", "imp", "autogen"),
        ('use "imp"."autogen";', "imp", "autogen"),
        ('use "a.b"', "a.b", ""),
        ('use "a.b".autogen', "a.b", "autogen"),
        (r'use "to\"dd"', 'to"dd', ""),
        (r'use "back\\slash"', "back\\slash", ""),
        (r"use back\slash", "back\\slash", ""),
    ],
)
def test_a_database_is_used_by_its_quoted_name(
    recorder: Recorder, text: str, database: str, policy: str
) -> None:
    session, _ = done(recorder, text)
    assert (session.database, session.retention_policy) == (database, policy)


def test_an_import_trims_as_influx_does(
    recorder: Recorder, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "export"
    path.write_bytes(
        "# DDL\n\xa0CREATE DATABASE a\x85\n\x1cCREATE DATABASE b\n\u2003\n# DML\n"
        "# CONTEXT-DATABASE:\xa0imp\u3000\n\xa0\n\x1c\ncpu v=1\xa0\r\n".encode()
    )
    session = Session()
    session.backend = recorder
    assert import_file(str(path), session, compressed=False, points_per_second=0) == 0
    assert recorder.asked == ["CREATE DATABASE a", "\x1cCREATE DATABASE b"]
    assert recorder.written == [Points("\x1c\ncpu v=1\xa0\r\n", "imp", "")]
    assert "Processed 2 inserts" in capsys.readouterr().out


def test_csv_quotes_what_begins_with_gos_white_space() -> None:
    for character in (*BLANKS, *NO_BLANKS):
        text = format_csv(Response([{"series": [{"columns": [f"{character}a"]}]}]))
        assert text.startswith('"') == (character in BLANKS)
