"""The statements that the shell writes itself, quoted by the grammar.

Only commands that need one import this file: most scripts never load the grammar.
"""

from headgate_grammar import (
    ParseError,
    SetPassword,
    ShowGrants,
    ShowRetentionPolicies,
    Statement,
    parse,
    quote_identifier,
    quote_string,
    redact,
)
from headgate_shell.terminal import CommandFailed

__all__ = ["redact", "set_password", "show_grants", "show_retention_policies"]


def set_password(name: str, password: str) -> str:
    """The statement, with the password. Raises CommandFailed if InfluxQL cannot express it."""
    # Not `str` of the statement, which hides the password.
    text = f"SET PASSWORD FOR {quote_identifier(name)} = {quote_string(password)}"
    return _checked(text, SetPassword(name, password))


def show_grants(name: str) -> str:
    """The statement. Raises CommandFailed if InfluxQL cannot express the name."""
    statement = ShowGrants(name)
    return _checked(str(statement), statement)


def show_retention_policies(database: str) -> str:
    """The statement. Raises CommandFailed if InfluxQL cannot express the name."""
    statement = ShowRetentionPolicies(database)
    return _checked(str(statement), statement)


def _checked(text: str, statement: Statement) -> str:
    """*text*, if it means *statement*: a NUL ends InfluxQL's text, a CR is read as a line end."""
    try:
        same = list(parse(text)) == [statement]
    except ParseError:
        same = False
    if not same:
        raise CommandFailed(
            "InfluxQL cannot express a NUL, a carriage return or an invalid character"
        )
    return text
