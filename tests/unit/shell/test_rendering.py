"""Formats of responses in the shell, compared byte by byte with the output of influx."""

from typing import Any

import pytest

from headgate_shell.backends.base import Response
from headgate_shell.output.numbers import Number
from headgate_shell.output.render import render
from headgate_shell.output.tabwriter import align
from headgate_shell.session import Session

USERS: dict[str, Any] = {
    "statement_id": 0,
    "series": [{"columns": ["user", "admin"], "values": [["root", True], ["alice", False]]}],
}
DATABASES: dict[str, Any] = {
    "series": [{"name": "databases", "columns": ["name"], "values": [["a"], ["日本語"]]}]
}
NOBODY: dict[str, Any] = {"series": [{"columns": ["database", "privilege"]}]}
POINTS: dict[str, Any] = {
    "series": [
        {
            "name": "cpu",
            "tags": {"host": "b", "az": "x"},
            "columns": ["time", "value"],
            "values": [[1, Number("1e21")], [22, None]],
        }
    ]
}
WARNED: dict[str, Any] = {"messages": [{"level": "warning", "text": "old"}]}
FAILED: dict[str, Any] = {"error": "user not found"}
HINT = (
    "Warning: It is possible this error is due to not setting a database.\n"
    'Please set a database with the command "use <database>".\n'
)


def show(format: str, *results: dict[str, Any], error: str = "", **session: Any) -> str:
    return render(Response(list(results), error), Session(format=format, **session))


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ([USERS], "user  admin\n----  -----\nroot  true\nalice false\n"),
        (
            [USERS, USERS],
            "user  admin\n----  -----\nroot  true\nalice false\n" * 1 + "root  true\nalice false\n",
        ),
        ([{}, {}, {}], "\n\n"),
        ([NOBODY, NOBODY], "database privilege\n-------- ---------\n"),
        ([DATABASES], "name: databases\nname\n----\na\n日本語\n"),
        (
            [USERS, DATABASES],
            "user  admin\n----  -----\nroot  true\nalice false\n\n"
            "name: databases\nname\n----\na\n日本語\n",
        ),
        ([POINTS], "name: cpu\ntags: az=x, host=b\ntime value\n---- -----\n1    1e21\n22   \n"),
        ([WARNED], "warning: old.\n"),
        ([{}, FAILED], "\nERR: user not found\n" + HINT),
    ],
)
def test_column(results: list[dict[str, Any]], text: str) -> None:
    assert show("column", *results) == text


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ([USERS, USERS], "user,admin\nroot,true\nalice,false\nroot,true\nalice,false\n"),
        ([DATABASES], "name,name\ndatabases,a\ndatabases,日本語\n"),
        ([POINTS], 'name,tags,time,value\ncpu,"az=x,host=b",1,1e21\ncpu,"az=x,host=b",22,\n'),
        ([WARNED], ""),
        (
            [
                {
                    "series": [
                        {"columns": ["c"], "values": [[" a"], ['q"'], ["a,b"], ["\\."], ["a b"]]}
                    ]
                }
            ],
            'c\n" a"\n"q"""\n"a,b"\n"\\."\na b\n',
        ),
    ],
)
def test_csv(results: list[dict[str, Any]], text: str) -> None:
    assert show("csv", *results) == text


def test_a_column_is_no_recursion() -> None:
    wide = {"series": [{"name": "m", "columns": ["c"] * 3000, "values": [["v"] * 3000]}]}
    assert show("column", wide).count("v ") == 2999


@pytest.mark.parametrize("format", ["table", "vertical", "markdown"])
def test_no_text_steers_the_terminal(format: str) -> None:
    steering = {"series": [{"columns": ["c"], "values": [["a\x1b]0;pwn\x07\x9b\u202e"]]}]}
    text = show(format, steering)
    assert "\\x1b]0;pwn\\x07\\x9b\\u202e" in text and "\x1b" not in text


def test_json() -> None:
    assert show("json", USERS, {}, FAILED, database="db") == (
        '{"results":[{"series":[{"columns":["user","admin"],"values":[["root",true],'
        '["alice",false]]}]},{},{"error":"user not found"}]}\nERR: user not found\n'
    )
    assert show("json", POINTS).count("[[1,1e21],[22,null]]") == 1
    assert show("json", NOBODY, pretty=True) == (
        '{\n    "results": [\n        {\n            "series": [\n                {\n'
        '                    "columns": [\n                        "database",\n'
        '                        "privilege"\n                    ]\n                }\n'
        "            ]\n        }\n    ]\n}\n"
    )
    odd = {"series": [{"columns": ["<é>&\u2028"]}]}
    assert show("json", odd) == (
        '{"results":[{"series":[{"columns":["\\u003cé\\u003e\\u0026\\u2028"]}]}]}\n'
    )
    assert show("json", error="no") == '{"error":"no"}\nERR: no\n' + HINT


def test_an_unknown_format_is_named() -> None:
    assert show("xml", USERS) == 'Unknown output format "xml".\n'


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([["a", "b", "c"], ["aaa", "", "c"]], "a   b c\naaa   c\n"),
        ([["a", "b"], ["x"], ["aaaa", "b"]], "a b\nx\naaaa b\n"),
        ([["", "b"], ["", "c"]], " b\n c\n"),
        ([["a", "b", "c"], ["a", "b"], ["a", "bbb", "c"]], "a b c\na b\na bbb c\n"),
        ([["a\tb"], ["c\nd"]], "a b\nc\nd\n"),
        ([], ""),
    ],
)
def test_cells_are_aligned_in_runs_of_lines_that_have_them(
    rows: list[list[str]], text: str
) -> None:
    assert align(rows) == text


def test_json_says_which_series_goes_on_and_leaves_out_which_result_does() -> None:
    chunk = {"series": [{"columns": ["v"], "values": [[1]], "partial": True}], "partial": True}
    assert show("json", chunk) == (
        '{"results":[{"series":[{"columns":["v"],"values":[[1]],"partial":true}]}]}\n'
    )
