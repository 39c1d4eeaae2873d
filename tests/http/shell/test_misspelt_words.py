"""Misspelt commands and flags: one line, with the name that was probably meant."""

import pytest

from support.command_here import run_command


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("audti",), "headgate: unknown command 'audti', did you mean audit?"),
        (("frobnicate",), "headgate: unknown command; `headgate help` lists the commands"),
        (("key", "lst"), "headgate key: unknown command 'lst', did you mean list?"),
        (
            ("session", "frobnicate"),
            "headgate session: unknown command, expected list, revoke, revoke-user or prune",
        ),
        (
            ("key", "check", "hgk_Zk7"),
            "headgate key check: expected only -: the key is read from standard input",
        ),
        (("audit", "--sumary"), "headgate audit: unknown flag --sumary, did you mean --summary?"),
        (("user", "list", "--stroe"), "headgate user: unknown flag --stroe, did you mean --store?"),
        (("user", "list", "--frobnicate"), "headgate user: unknown flag: see -help"),
        (("user", "list", "frobnicate"), "headgate user: unknown value without a flag: see -help"),
        (("key", "list", "--json=1"), "headgate key list: argument --json: expected no value"),
    ],
)
def test_a_misspelt_word_is_one_line(words: tuple[str, ...], error: str) -> None:
    done = run_command(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{error}\n")
