"""Builds the audit entry of a statement."""

from headgate_engine.errors import InvalidName
from headgate_engine.model.audit import Audit
from headgate_engine.model.principal import Principal
from headgate_engine.model.user import is_encodable
from headgate_grammar import Statement, redact_urls


def audit_entry(principal: Principal, address: str, statement: Statement) -> Audit:
    """Returns the audit entry of *statement*, which *principal* sent from *address*.

    Raises InvalidName if the statement is invalid Unicode: no store can hold it.
    """
    text = redact_urls(str(statement))
    if not is_encodable(text):
        raise InvalidName
    return Audit(principal.name, address, text)
