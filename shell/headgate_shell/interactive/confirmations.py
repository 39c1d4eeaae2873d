"""Builds the confirmation texts for statements that irrevocably drop data or privileges."""

from headgate_grammar import (
    DropDatabase,
    DropUser,
    ParseError,
    Revoke,
    RevokeAdmin,
    Statement,
    parse,
    quote_identifier,
)
from headgate_shell.interactive.completion_names import CompletionNames


def confirmation_for(text: str, username: str, names: CompletionNames) -> str:
    """Returns the question to ask before the user *username* runs the statements *text*, or "".

    The question has one sentence for each of these losses: a dropped database, a dropped user, a
    privilege of *username*, the last administrator. *names* tells which users are administrators.
    Returns "" if the statements cause none of these losses.
    """
    try:
        statements = parse(text)
    except ParseError:
        return ""  # the server will reject the text
    sentences = [_statement_confirmation(statement, username, names) for statement in statements]
    return " ".join(filter(None, sentences))


def _statement_confirmation(statement: Statement, username: str, names: CompletionNames) -> str:
    match statement:
        case DropDatabase(name):
            return f"Database {quote_identifier(name)} and all its data will be deleted."
        case DropUser(name) | RevokeAdmin(name) if names.administrators == (name,):
            return (
                f"{quote_identifier(name)} is the only administrator:"
                " without it, users and databases cannot be managed."
            )
        case DropUser(name):
            yourself = " That is you." if name == username else ""
            return f"User {quote_identifier(name)} and their grants will be deleted.{yourself}"
        case RevokeAdmin(name) if name == username:
            return "You will not be an administrator any more."
        case Revoke(_, database, name) if name == username:
            return f"You take a privilege on {quote_identifier(database)} from yourself."
        case _:
            return ""
