"""Sessions of people that came by a provider: the provider confirms their access, or ends them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from headgate_engine.accounts.sessions import Sessions
from headgate_engine.model.audit import Audit
from headgate_engine.model.session import (
    RevocationReason,
    Session,
    SessionTokens,
)
from headgate_engine.stores.account_base import UpkeepTx
from headgate_engine.stores.base import Store, Tx
from headgate_grammar import quote_identifier

# One worker asks the provider at a time, and for less than this: see REFRESH_SECONDS.
LEASE_SECONDS = 45
# A caller of `take_lease` gives up after this time: no other worker asks meanwhile.
REFRESH_SECONDS = 30


class ProviderSessions:
    """The sessions in *store* that began by a provider. Thread-safe; methods block on the disk."""

    def __init__(self, store: Store, sessions: Sessions) -> None:
        self._store = store
        self._sessions = sessions

    def take_lease(self, session: Session) -> SessionTokens | None:
        """Returns the tokens to ask the provider with, for `LEASE_SECONDS`.

        Returns None if the access of *session* is confirmed already, while another caller asks,
        and during the pause after a failure.
        """
        now = self._sessions.now()

        def take(tx: UpkeepTx) -> SessionTokens | None:
            stored, tokens = tx.session_by_hash(session.hash), tx.session_tokens(session.id)
            if stored is None or tokens is None or now < stored.access_expires_at:
                return None
            if now < tokens.refreshing_until:
                return None
            tx.put_session_tokens(session.id, replace(tokens, refreshing_until=now + LEASE_SECONDS))
            return tokens

        return self._store.upkeep(take)

    def confirm(self, session: Session, tokens: SessionTokens, access_expires_at: int) -> None:
        """Stores that the provider confirmed the access of *session* until *access_expires_at*.

        *tokens* are the tokens for the next time.
        """

        def write(tx: UpkeepTx) -> None:
            stored = tx.session_by_hash(session.hash)
            if stored is not None and not stored.revoked_at:
                tx.put_session(replace(stored, access_expires_at=access_expires_at))
                tx.put_session_tokens(session.id, replace(tokens, refreshing_until=0, failures=0))

        self._store.upkeep(write)

    def postpone(self, session: Session, pause: int) -> None:
        """Stores that the provider did not answer: the next try is in *pause* seconds."""
        until = self._sessions.now() + pause

        def write(tx: UpkeepTx) -> None:
            if (tokens := tx.session_tokens(session.id)) is not None:
                failures = tokens.failures + 1
                tx.put_session_tokens(
                    session.id, replace(tokens, refreshing_until=until, failures=failures)
                )

        self._store.upkeep(write)

    def end_by_sid(
        self, provider: str, sid: str, issuer: str, subject: str, address: str = ""
    ) -> int:
        """Revokes the sessions that *provider* calls *sid*, and returns their number.

        Without *sid*, revokes all sessions that the user of the identity *subject* of *issuer* has
        by *provider*. With both, a session has to match both.
        """

        def chosen(tx: Tx) -> Sequence[Session]:
            user = tx.user_by_identity(issuer, subject) if subject else None
            if not sid:
                found = tx.sessions(user) if user is not None else []
                return [it for it in found if it.provider == provider]
            found = tx.sessions_by_sid(provider, sid)
            return [it for it in found if not subject or (user and user.id == it.user_id)]

        return self._revoke(chosen, "provider", provider, address)

    def end_for_lost_access(self, session: Session, address: str = "") -> int:
        """Revokes *session*, because its provider refuses the access now."""

        def chosen(tx: Tx) -> Sequence[Session]:
            stored = tx.session(session.id)
            return [stored] if stored is not None else []

        return self._revoke(chosen, "access", session.provider, address, session)

    def _revoke(
        self,
        chosen: Callable[[Tx], Sequence[Session]],
        reason: RevocationReason,
        provider: str,
        address: str,
        session: Session | None = None,
    ) -> int:
        now = self._sessions.now()

        def change(tx: Tx) -> int:
            active = [it for it in chosen(tx) if it.refusal(self._sessions.limits, now) is None]
            for one in active:
                tx.put_session(one.revoked(reason, now))
            return len(active)

        what = f"sessions by {provider} revoked ({reason})"
        if session is not None:
            what = f"session {session.id} of {quote_identifier(session.user)} revoked ({reason})"
        actor = session.user if session is not None else ""
        return self._store.transact(change, Audit(actor, address, f"-- {what}"))[0]
