"""Builds the statements that the shell's own commands send, with names quoted as InfluxQL.

Only commands that need a statement import this file: most scripts never load the grammar.
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
    """Returns the text of SET PASSWORD for the user *name*, *password* included.

    Raises CommandFailed if InfluxQL cannot express *name* or *password*.
    """
    # `str` of the statement would redact the password.
    text = f"SET PASSWORD FOR {quote_identifier(name)} = {quote_string(password)}"
    return _verify_round_trip(text, SetPassword(name, password))


def show_grants(name: str) -> str:
    """Returns the text of SHOW GRANTS for the user *name*.

    Raises CommandFailed if InfluxQL cannot express *name*.
    """
    statement = ShowGrants(name)
    return _verify_round_trip(str(statement), statement)


def show_retention_policies(database: str) -> str:
    """Returns the text of SHOW RETENTION POLICIES for *database*.

    Raises CommandFailed if InfluxQL cannot express the name *database*.
    """
    statement = ShowRetentionPolicies(database)
    return _verify_round_trip(str(statement), statement)


def _verify_round_trip(text: str, statement: Statement) -> str:
    """Returns *text* if it parses to *statement*, else raises CommandFailed.

    A value with a NUL or a carriage return fails: InfluxQL ends at a NUL, and reads a carriage
    return as a line end.
    """
    try:
        same = list(parse(text)) == [statement]
    except ParseError:
        same = False
    if not same:
        raise CommandFailed(
            "InfluxQL cannot express a NUL, a carriage return or an invalid character"
        )
    return text
