"""`redact` removes each password from a text, also if the text is invalid InfluxQL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_grammar import ParseError, parse, redact
from support.random_statements import Statements, mutated

LEAKY = [
    "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL 'http://n:hunter2@h:1'",
    "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ANY 'udp://h:1', 'n:hunter2/?@h:1'",
    "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL 'http://h:1/?u=n&p=hunter2'",
    "CREATE SUBSCRIPTION s ON d.r DESTINATIONS 'http://n:hunter2@h:1'",
    "SELECT x FROM m WHERE u = 'https://n:it\\'shunter2@h:1/'",
    "SELECT x FROM m WHERE u = 'https://n:hun@hunter2@h:1/'",
    "SELECT x FROM m WHERE u = 'https://h:1/?token=hunter2'",
    'SELECT "https://h:1/?a=b&api_key=hunter2" FROM m',
    'SELECT x FROM "https://n:hunter2@h"',
    "SHOW STATS FOR 'https://n:hunter2@h' -- https://n:hunter2@h",
    "connect https://n:hunter2@h:8086",
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
        ("CREATE USER n WITH PASWORD 'x'", "CREATE USER n WITH PASWORD [REDACTED]"),
        ("CREATE USER o'b WITH PASSWRD 'x'", "CREATE USER o[REDACTED]"),
        ('CREATE USER a WITH PASSWROD "x"', "CREATE USER a WITH PASSWROD [REDACTED]"),
        ('SELECT "a" FRM "b"', 'SELECT "a" FRM "b"'),
        ("SHOW USERS -- the password is x", "SHOW USERS[REDACTED]"),
        ("SELECT x FROM m WHERE a = 'b'", "SELECT x FROM m WHERE a = 'b'"),
        ("DROP USER \"password 'x'\"", "DROP USER \"password 'x'\""),
    ],
)
def test_the_rest_of_the_text_stays(text: str, redacted: str) -> None:
    assert redact(text) == redacted


SECRET = "Zk7q9"


@given(
    st.text(max_size=20),
    st.sampled_from(["WITH PASSWORD ", "WITH PASSWORD", "PASSWORD FOR todd = ", "password for x="]),
    st.sampled_from(
        ["'{}'", "' {} '", "'\\'{}'", "'{}", '"{}"', "'a\\tb{}'", "{}", "/{}/", "= {}"]
    ),
    st.text(max_size=20),
)
def test_no_text_around_it_brings_a_password_out(
    before: str, words: str, quoted: str, after: str
) -> None:
    text = f"{before} {words}{quoted.format(SECRET)}{after}"
    try:
        # If the printed statements contain SECRET, it is a name or a string there, not a password.
        shown = " ".join(map(str, parse(text)))
    except ParseError:
        shown = ""
    assert SECRET not in redact(text) or SECRET in shown


@given(st.integers(0, 10**9), st.booleans())
def test_passwords_of_random_statements_are_hidden(seed: int, wrong: bool) -> None:
    generator = Statements(seed)
    name = generator.name()
    text = generator.random.choice(
        [
            f"CREATE USER {name} WITH PASSWORD '{SECRET}'",
            f"SET PASSWORD FOR {name} = '{SECRET}'",
            f"{generator.statement()}; CREATE USER {name} WITH PASSWORD '{SECRET}'",
            f"SET PASSWORD FOR {name} = '{SECRET}'; {generator.statement()}",
        ]
    )
    if wrong:
        text = f"{text} {mutated(generator.statement(), generator.random)}"
    assert SECRET not in redact(text)
