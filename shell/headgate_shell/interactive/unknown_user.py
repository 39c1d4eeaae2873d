"""Adds the username to InfluxDB's error `user not found`, which omits the name."""

from headgate_grammar import (
    DropUser,
    Grant,
    GrantAdmin,
    ParseError,
    Revoke,
    RevokeAdmin,
    SetPassword,
    ShowGrants,
    Statement,
    parse,
)
from headgate_shell.backends.base import Response
from headgate_shell.commands.login import with_username


def with_usernames(text: str, response: Response) -> Response:
    """Returns *response* with the username appended to each `user not found`.

    *text* holds the statements of the response. Each error gets the username of its statement.
    """
    if not any("error" in result for result in response.results):
        return response
    try:
        statements = parse(text)
    except ParseError:
        return response  # the server accepted a statement that this shell's grammar lacks
    results = list(response.results)
    for index, (statement, result) in enumerate(zip(statements, results, strict=False)):
        if "error" in result and (name := _username(statement)):
            results[index] = {**result, "error": with_username(str(result["error"]), name)}
    return Response(results, response.error)


def _username(statement: Statement) -> str:
    """Returns the user that *statement* names, or ""."""
    match statement:
        case DropUser(name) | SetPassword(name) | GrantAdmin(name) | RevokeAdmin(name):
            return name
        case Grant(_, _, name) | Revoke(_, _, name):
            return name
        case ShowGrants(name):
            return name
        case _:
            return ""
