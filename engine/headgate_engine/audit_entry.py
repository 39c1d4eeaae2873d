"""Builds the audit entry of a statement."""

from headgate_engine.errors import InvalidName
from headgate_engine.model.user import Principal
from headgate_engine.stores.base import Audit
from headgate_grammar import Statement, redact_urls


def audit_entry(principal: Principal, address: str, statement: Statement) -> Audit:
    """Returns the audit entry of *statement*, which *principal* sent from *address*.

    Raises InvalidName if the statement is invalid Unicode: no store can hold it.
    """
    text = redact_urls(str(statement))
    if not is_encodable(text):
        raise InvalidName
    return Audit(principal.name, address, text)


def is_encodable(name: str) -> bool:
    """Returns whether *name* is valid Unicode. A login may hold invalid UTF-8: no user's name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
