"""Control characters are escaped if standard output is a terminal, and unchanged in a pipe."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.document import Document

from headgate_grammar import parse, quote_identifier
from headgate_grammar.ast.users import SetPassword, ShowGrants
from headgate_shell.backends.base import ConnectionSettings, Response
from headgate_shell.interactive.completion import complete_input
from headgate_shell.interactive.completion_names import CompletionNames
from headgate_shell.interactive.prompt import ShellCompleter, prompt_text, toolbar
from headgate_shell.interactive.unknown_user import with_usernames
from headgate_shell.output.control_characters import (
    escape_controls,
    escape_controls_in_json,
    escape_controls_in_lines,
)
from headgate_shell.output.render import render
from headgate_shell.session import Session
from headgate_shell.statements import set_password, show_grants
from headgate_shell.terminal import CommandFailed

STEERING = "a\x1b]0;pwn\x07\x9b31m\x7f\u202e\u2066\u2028\udc9b\r"
ESCAPED = r"a\x1b]0;pwn\x07\x9b31m\x7f\u202e\u2066\u2028\x9b\r"
FORMATS = ("column", "csv", "json", "table", "vertical", "markdown")
UNSAFE = {*map(chr, range(32)), *map(chr, range(127, 160)), *"\u202a\u202e\u2066\u2069\u200f"}


def answer(text: str) -> Response:
    series = {"name": text, "tags": {text: text}, "columns": [text], "values": [[text], ["b"]]}
    return Response([{"series": [series], "messages": [{"level": "w", "text": text}]}], text)


def on_terminal(format: str, response: Response, **session: Any) -> str:
    asking = Session(format=format, **session)
    asking.to_terminal = True
    return render(response, asking)


@pytest.mark.parametrize("format", FORMATS)
def test_an_answer_does_not_steer_the_terminal(format: str) -> None:
    text = on_terminal(format, answer(STEERING))
    assert not set(text) & (UNSAFE - {"\n"}) and "\udc9b" not in text
    assert f"ERR: {ESCAPED}\n" in text


@pytest.mark.parametrize("format", ["column", "csv", "json"])
def test_the_bytes_of_a_pipe_are_influxs(format: str) -> None:
    text = render(answer("a\x1b[31m\x9b\u202e"), Session(format=format, database="db"))
    assert "ERR: a\x1b[31m\x9b\u202e\n" in text
    assert format == "json" or text.count("\x1b") >= 4


def test_columns_stay_aligned_and_a_name_is_one_cell() -> None:
    values = {"series": [{"columns": ["c", "d"], "values": [["\x1b\n\t", 1], ["ab", 2]]}]}
    assert on_terminal("column", Response([values])) == (
        "c        d\n-        -\n\\x1b\\n\\t 1\nab       2\n"
    )


def test_json_keeps_its_meaning() -> None:
    text = on_terminal("json", Response([{"series": [{"columns": ["\x1b\x9b\u202e\x7f"]}]}]))
    assert "\\u009b\\u202e\\u007f" in text
    assert json.loads(text)["results"][0]["series"][0]["columns"] == ["\x1b\x9b\u202e\x7f"]


@given(st.text(st.characters()))
def test_no_text_keeps_a_control_character(text: str) -> None:
    assert not set(escape_controls(text)) & UNSAFE
    assert not set(escape_controls_in_lines(text)) & (UNSAFE - set("\n\t"))
    assert not set(escape_controls_in_json(text)) & (UNSAFE - set("\n\t"))
    escape_controls(text).encode()
    if text.isprintable():
        assert (
            escape_controls(text)
            == escape_controls_in_lines(text)
            == escape_controls_in_json(text)
            == text
        )


def test_what_the_prompt_shows_is_visible() -> None:
    names = CompletionNames(Session())
    names.users = ("\x1b\u202e",)
    session = Session(ConnectionSettings(username="\x1b\u202e"), database="\x9b")
    (offer,) = ShellCompleter(names).get_completions(Document("DROP USER "), None)  # type: ignore[arg-type]  # unused
    assert offer.display_text == '"\\x1b\\u202e"' and offer.text == '"\x1b\u202e"'
    for text in (toolbar(session, names, None), prompt_text(session, "{user} {database}> ")):
        assert not set(text) & UNSAFE


HINT = "Log in with `auth`, or with the flags -username and -password.\n"


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("authorization failed", HINT),
        ("unable to parse authentication credentials", HINT),
        ("error parsing query: found USRS, expected DATABASE at line 1, char 6", ""),
        ("database not found: x", ""),
        ("user not found", ""),
        ("database name required", "Warning: It is possible this error is due to not setting"),
    ],
)
def test_at_a_terminal_a_hint_fits_the_error(error: str, hint: str) -> None:
    text = on_terminal("column", Response([], error)).removeprefix(f"ERR: {error}\n")
    assert text.startswith(hint) and bool(text) == bool(hint)
    assert "Please set a database" in render(Response([], error), Session())
    assert "set a database" not in on_terminal("column", Response([], error), database="db")


@pytest.mark.parametrize(
    "text",
    ["DROP USER ann", "SHOW GRANTS FOR ann", "GRANT READ ON d TO ann", "REVOKE ALL ON d FROM ann"],
)
def test_an_unknown_user_is_named(text: str) -> None:
    response = Response([{}, {"error": "user not found"}, {"error": "not executed"}])
    named = with_usernames(f"SHOW USERS; {text}; SHOW USERS", response)
    assert named.first_error == "user not found: ann"
    assert named.results[2] == {"error": "not executed"}
    assert with_usernames("SHOW USRS", response) == response


HOSTILE = ["$x", 'a"b', "a'b", "a\\", "\\n", "a\nb", "select", "", "é", "\x1b", ";--", "\x1c", " "]
INEXPRESSIBLE = ["\0", "a\0b", "a\rb", "\ud800", "\udc9b"]


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_what_the_shell_writes_into_a_statement_is_read_back(value: str) -> None:
    assert list(parse(set_password(value, value))) == [SetPassword(value, value)]
    assert list(parse(show_grants(value))) == [ShowGrants(value)]


@pytest.mark.parametrize("value", INEXPRESSIBLE, ids=ascii)
def test_what_influxql_cannot_express_is_refused(value: str) -> None:
    with pytest.raises(CommandFailed, match="cannot express"):
        set_password("a", value)
    with pytest.raises(CommandFailed, match="cannot express"):
        show_grants(value)
    names = CompletionNames(Session())
    names.users = (value,)
    assert not complete_input("DROP USER ", names)


@given(st.text(st.characters()))
def test_any_name_that_is_offered_is_that_name(name: str) -> None:
    names = CompletionNames(Session())
    names.users = (name,)
    for offer in complete_input("SHOW GRANTS FOR ", names):
        assert list(parse(f"SHOW GRANTS FOR {offer.text}")) == [ShowGrants(name)]
        assert offer.text == quote_identifier(name)


def test_half_a_character_is_an_error_and_no_crash() -> None:
    assert Session(ConnectionSettings(port=1)).query('SHOW GRANTS FOR "\ud800"').error == (
        "the statement has an invalid character and cannot be sent"
    )
