"""Errors about a user, with the name that InfluxDB leaves out."""

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
from headgate_shell.commands.login import with_name


def with_user_names(text: str, response: Response) -> Response:
    """*response* to the statements *text*, with the user's name in `user not found`."""
    if not any("error" in result for result in response.results):
        return response
    try:
        statements = parse(text)
    except ParseError:
        return response  # a statement that this shell does not know, and the server did
    results = list(response.results)
    for index, (statement, result) in enumerate(zip(statements, results, strict=False)):
        if "error" in result and (name := _user(statement)):
            results[index] = {**result, "error": with_name(str(result["error"]), name)}
    return Response(results, response.error)


def _user(statement: Statement) -> str:
    """The user that *statement* is about, "" if it is about none."""
    match statement:
        case DropUser(name) | SetPassword(name) | GrantAdmin(name) | RevokeAdmin(name):
            return name
        case Grant(_, _, name) | Revoke(_, _, name):
            return name
        case ShowGrants(name):
            return name
        case _:
            return ""
