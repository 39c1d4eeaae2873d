"""Reads identities, and provider's tokens of sessions, of a SQLite user store with SQL."""

import apsw

from headgate_engine.model.session import SessionTokens
from headgate_engine.model.user import LinkedIdentity

_SELECT_IDENTITIES = """
SELECT id, issuer, subject, linked_at FROM identities WHERE user_id = ? ORDER BY id
"""
_SELECT_TOKENS = """
SELECT refresh_token, id_token, refreshing_until, failures FROM session_tokens WHERE session_id = ?
"""


def read_identities(connection: apsw.Connection, user_id: str) -> list[LinkedIdentity]:
    """Returns the identities that are linked to the user *user_id*, in order of linking."""
    rows = connection.execute(_SELECT_IDENTITIES, (int(user_id),))
    return [LinkedIdentity(str(id), *columns) for id, *columns in rows]


def read_session_tokens(connection: apsw.Connection, session_id: str) -> SessionTokens | None:
    """Returns the provider's tokens of the session *session_id*, or None."""
    row = connection.execute(_SELECT_TOKENS, (int(session_id),)).get
    return SessionTokens(*row) if row is not None else None
