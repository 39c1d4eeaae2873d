"""No password survives redaction, whatever the text looks like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_grammar import redact

LEAKY = [
    "CREATE USER n WITH PASSWORD 'hunter2'",
    "create user n with password'hunter2'",
    "CREATE USER n WITH PASSWORD 'two hunter2'",
    "CREATE USER n WITH PASSWORD 'dou\"ble hunter2'",
    "CREATE USER n WITH PASSWORD 'it\\'s hunter2' WITH ALL PRIVILEGES",
    "CREATE USER n WITH /* x */ PASSWORD -- y\n 'hunter2'",
    'CREATE USER n WITH PASSWORD "hunter2"',
    "CREATE USER n WITH PASSWORD hunter2",
    "CREATE USER n WITH PASSWORD 'hunter2",
    "CREATE USER n WITH PASSWORD 'bad\\tescape hunter2'",
    "CREATE USER n WITH PASSWORD 'x\ny hunter2'",
    "CREATE USER n WITH PASSWORD ('hunter2')",
    "CREATE USER n WITH PASSWORD = 'hunter2'",
    "SET PASSWORD FOR n = 'hunter2'",
    "SET PASSWORD FOR n='hunter2'",
    "SET PASSWORD FOR \"a = b\" = 'hunter2'",
    "SET PASSWORD FOR n 'hunter2'",
    "SET PASSWORD FOR n = hunter2",
    "SET PASSWORD n = 'hunter2'",
    "SET PASSWORD FOR 'hunter2'",
    "SET PASSWORD FOR \"n = 'hunter2'",
    "SET PASSWORD FOR n TO 'hunter2'",
    "SHOW USERS; SET PASSWORD FOR n = 'hunter2'; SHOW USERS",
    "FOO BAR PASSWORD 'hunter2'",
    "SET PASSWORD FOR n = hunter2#%",
]


@pytest.mark.parametrize("text", LEAKY)
def test_a_password_is_hidden(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "[REDACTED]" in redact(text)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("SHOW USERS", "SHOW USERS"),
        ("SET PASSWORD FOR n='x';SHOW USERS", "SET PASSWORD FOR n=[REDACTED];SHOW USERS"),
        (
            "CREATE USER n WITH PASSWORD 'x' WITH ALL PRIVILEGES",
            "CREATE USER n WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES",
        ),
        ("DROP USER \"password 'x'\"", "DROP USER \"password 'x'\""),
    ],
)
def test_the_rest_of_the_text_stays(text: str, redacted: str) -> None:
    assert redact(text) == redacted


SECRET = "Zk7#q"


@given(
    st.text(max_size=20),
    st.sampled_from(["WITH PASSWORD ", "WITH PASSWORD", "PASSWORD FOR todd = ", "password for x="]),
    st.sampled_from(["'{}'", "' {} '", "'\\'{}'", "'{}", '"{}"', "'a\\tb{}'"]),
    st.text(max_size=20),
)
def test_no_text_around_it_brings_a_password_out(
    before: str, words: str, quoted: str, after: str
) -> None:
    # A quote or a comment that is still open makes the word PASSWORD a part of something else.
    if any(mark in before for mark in "'\"-/*$"):
        before = ""
    assert SECRET not in redact(f"{before} {words}{quoted.format(SECRET)}{after}")
