"""What is asked before something is lost."""

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
from headgate_shell.interactive.completion_names import Names


def loss(text: str, username: str, names: Names) -> str:
    """What the statements *text* of *username* take away for good, "" for nothing.

    A sentence each: databases and users that go, one's own rights, the last administrator.
    """
    try:
        statements = parse(text)
    except ParseError:
        return ""  # the server will say so
    sentences = [_loss(statement, username, names) for statement in statements]
    return " ".join(filter(None, sentences))


def _loss(statement: Statement, username: str, names: Names) -> str:
    match statement:
        case DropDatabase(name):
            return f"Database {quote_identifier(name)} and all that is in it will be gone."
        case DropUser(name) | RevokeAdmin(name) if names.administrators == (name,):
            return (
                f"{quote_identifier(name)} is the only administrator:"
                " nobody could manage users and databases any more."
            )
        case DropUser(name):
            yourself = " That is you." if name == username else ""
            return f"User {quote_identifier(name)} and his grants will be gone.{yourself}"
        case RevokeAdmin(name) if name == username:
            return "You will not be an administrator any more."
        case Revoke(_, database, name) if name == username:
            return f"You take a privilege on {quote_identifier(database)} from yourself."
        case _:
            return ""
