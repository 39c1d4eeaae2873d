"""Functions of the interactive shell, called without a terminal: completion, confirmations, ..."""

from collections.abc import Callable

import pytest
from prompt_toolkit.document import Document

from headgate_grammar import redact
from headgate_shell.backends.base import ConnectionSettings
from headgate_shell.interactive.completion import complete_input
from headgate_shell.interactive.completion_names import CompletionNames
from headgate_shell.interactive.confirmations import confirmation_for
from headgate_shell.interactive.key_bindings import is_complete
from headgate_shell.interactive.lexer import STYLES, InfluxqlLexer
from headgate_shell.interactive.prompt import prompt_text, toolbar
from headgate_shell.session import Session
from support.servers import Server
from support.waiting import poll_until


@pytest.fixture
def names() -> CompletionNames:
    names = CompletionNames(Session(ConnectionSettings(username="root")))
    names.databases = ("metrics", "tele metry", "Meta")
    names.users = ("root", "todd", 'to"dd', "select")
    names.administrators = ("root",)
    return names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GRANT ", ["ALL", "READ", "WRITE"]),
        ("gra", ["grant"]),
        ("SHOW GR", ["GRANTS"]),
        ("SHOW GRANTS", ["GRANTS"]),
        ("SHOW GRANTS FOR ", ["root", "todd", r'"to\"dd"', '"select"']),
        ("SHOW GRANTS FOR to", ["todd", r'"to\"dd"']),
        ('SHOW GRANTS FOR "to', ['"todd"', r'"to\"dd"']),
        ("GRANT READ ON ", ["metrics", '"tele metry"', "Meta"]),
        ("GRANT READ ON metrics TO t", ["todd", r'"to\"dd"']),
        ("REVOKE READ ON metrics FROM r", ["root"]),
        ("DROP DATABASE m", ["metrics"]),
        ("DROP USER r", ["root"]),
        ("SET PASSWORD FOR r", ["root"]),
        ("SHOW USERS; DROP USER r", ["root"]),
        ("CREATE USER ", []),
        ("CREATE USER x WITH PASSWORD ", []),
        ("CREATE USER x WITH PASSWORD 'r", []),
        ("use m", ["metrics"]),
        ("format v", ["vertical"]),
        ("precision r", ["rfc3339"]),
        ("auth r", []),
        ("insert r", []),
        ("\\p", ["\\password"]),
        ("SHOW USRS ", []),
        ("SELECT * FROM m", []),
    ],
)
def test_what_may_follow_is_suggested(
    names: CompletionNames, text: str, expected: list[str]
) -> None:
    assert [offer.text for offer in complete_input(text, names)] == expected


def test_names_come_from_the_server_with_the_persons_own_rights(
    serve: Callable[..., Server],
) -> None:
    server = serve().bootstrap(
        "CREATE DATABASE a; CREATE DATABASE b; CREATE USER todd WITH PASSWORD 'x'"
    )
    server.query("GRANT READ ON b TO todd")
    connection = ConnectionSettings("127.0.0.1", server.port, "root", "Toor-1")
    session = Session(connection)
    names = CompletionNames(session)
    names.refresh().join(20)
    assert (names.databases, names.users) == (("a", "b"), ("root", "todd"))
    assert names.administrators == ("root",)
    session.connection = connection._replace(username="todd", password="x")
    names.refresh()
    poll_until(lambda: names.databases == ("b",) and not names.users, "the old names are there")
    session.connection = connection._replace(username="todd", password="wrong")
    names.refresh()
    poll_until(lambda: not names.databases, "the old names are there")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("SHOW USERS", True),
        ("SHOW", False),
        ("SHOW GRANTS", False),
        ("SHOW GRANTS\nFOR todd", True),
        ("SHOW GRANTS;", True),
        ("SHOW GRANTS -- for whom?", False),
        ("SHOW USRS", True),
        ("CREATE USER x WITH PASSWORD 'two", True),
        ("CREATE USER x WITH PASSWORD", False),
        ("GRANT READ\n", True),
        ("use metrics", True),
        ("settings", True),
    ],
)
def test_enter_runs_what_is_complete_or_wrong(text: str, expected: bool) -> None:
    assert is_complete(text) is expected


def drawn(text: str, *, colour: bool = True) -> tuple[str, set[str]]:
    line = InfluxqlLexer(STYLES if colour else {}).lex_document(Document(text))
    fragments = [part for number in range(text.count("\n") + 1) for part in line(number)]
    shown = "\n".join(
        "".join(part[1] for part in line(number)) for number in range(text.count("\n") + 1)
    )
    return shown, {part[0] for part in fragments if part[0]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SHOW USERS", "SHOW USERS"),
        ("CREATE USER x WITH PASSWORD 'abc' WITH", "CREATE USER x WITH PASSWORD ***** WITH"),
        ("SET PASSWORD FOR \"x y\" = 'abc'; SHOW", 'SET PASSWORD FOR "x y" = *****; SHOW'),
        ("SET PASSWORD FOR x ='abc", "SET PASSWORD FOR x =****"),
        ("SELECT 'abc'\n-- a comment", "SELECT 'abc'\n-- a comment"),
        ("auth todd s3cret", "auth todd ******"),
        ("AUTH todd", "AUTH todd"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("colour", [True, False])
def test_passwords_are_not_shown_as_they_are_typed(text: str, shown: str, colour: bool) -> None:
    found, styles = drawn(text, colour=colour)
    assert found == shown
    assert not styles or colour
    assert "abc" not in redact(text) or "PASSWORD" not in text


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("DROP DATABASE metrics", "Database metrics and all its data will be deleted."),
        ("DROP USER todd", "User todd and their grants will be deleted."),
        ("DROP USER root", "root is the only administrator: without it, users"),
        ("REVOKE ALL PRIVILEGES FROM root", "root is the only administrator"),
        ("REVOKE READ ON metrics FROM root", "You take a privilege on metrics from yourself."),
        ("REVOKE READ ON metrics FROM todd", ""),
        ("SHOW USERS; DROP USER todd; DROP DATABASE Meta", "User todd"),
        ("SHOW USERS", ""),
        ("DROP USR todd", ""),
    ],
)
def test_what_is_lost_is_said_before(names: CompletionNames, text: str, asked: str) -> None:
    found = confirmation_for(text, "root", names)
    assert found.startswith(asked) and bool(found) == bool(asked)


def test_the_toolbar_has_user_and_server(names: CompletionNames) -> None:
    session = Session(ConnectionSettings("db1", 8086, "root"), database="metrics")
    assert toolbar(session, names, 0.0123) == (
        " root (admin) · http://db1:8086 · metrics · column · 0.012 s"
    )
    session = Session(store_path="/var/users.db")
    assert toolbar(session, names, None) == " administrator · /var/users.db · no database · column"
    assert (prompt_text(Session(), "> "), prompt_text(session, "> ")) == ("> ", "[users.db] > ")
