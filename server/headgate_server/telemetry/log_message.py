"""An error as text for the log."""

from headgate_engine import IdentityTaken
from headgate_grammar import ParseError


def log_message(error: Exception) -> str:
    """Returns *error* as text for the log: its attribute `log_message`, or else its own text.

    The text of a ParseError is not logged: it may quote the query, which may hold a password.
    """
    if isinstance(error, ParseError):
        return "query does not parse"
    if isinstance(error, IdentityTaken):
        return f"{error}: {error.reason}"
    own = getattr(error, "log_message", None)
    return own if isinstance(own, str) else str(error)
