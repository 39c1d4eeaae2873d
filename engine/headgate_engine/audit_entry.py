"""Builds the audit entries of changes: the author, their key or session, the statement."""

from headgate_engine.errors import InvalidName
from headgate_engine.model.audit import Audit
from headgate_engine.model.principal import Principal
from headgate_engine.model.user import is_encodable
from headgate_grammar import Statement, quote_identifier, redact_urls


def audit_entry(principal: Principal, address: str, statement: Statement) -> Audit:
    """Returns the audit entry of *statement*, which *principal* sent from *address*.

    Raises InvalidName if the statement is invalid Unicode: no store can hold it.
    """
    text = redact_urls(str(statement))
    if not is_encodable(text):
        raise InvalidName
    return principal_audit(principal, address, text)


def principal_audit(principal: Principal, address: str, text: str) -> Audit:
    """Returns the audit entry of the change *text*, which *principal* makes from *address*.

    A comment after *text* names the API key or the session of *principal*.
    """
    if principal.key is not None:
        text += f" -- key {principal.key.id} {quote_identifier(principal.key.name)}"
    elif principal.session is not None:
        text += f" -- session {principal.session.id}"
    return Audit(principal.name, address, text)
