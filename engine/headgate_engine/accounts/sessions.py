"""Begins, verifies, rotates and ends sessions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from headgate_engine.audit_entry import principal_audit
from headgate_engine.errors import (
    AuthenticationFailed,
    SessionNotFound,
    SessionRejected,
)
from headgate_engine.model.audit import Audit
from headgate_engine.model.principal import Principal
from headgate_engine.model.session import (
    YOUNG_SECONDS,
    ProviderSession,
    RevocationReason,
    Session,
    SessionLimits,
    clean_agent,
    new_session_token,
    session_hash,
)
from headgate_engine.model.user import User
from headgate_engine.stores.account_base import UpkeepTx
from headgate_engine.stores.base import Store, Tx
from headgate_grammar import quote_identifier

_REVOKED_SECONDS = 86_400  # a revoked session is deleted after a day
_PAGE_SIZE = 1000
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class ShownSession:
    """The outcome of a token that a client has shown: the principal, and what is to be written.

    *seen* is the session as it must be stored, or None if nothing changes. *rotates* is whether the
    response brings a new token, if it can.
    """

    principal: Principal
    hash: bytes
    seen: Session | None
    rotates: bool


@dataclass(frozen=True, slots=True)
class _KnownToken:
    """What the current token of *session* stands for, until the Unix time *until*."""

    session: Session
    until: int
    shown: ShownSession


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many sessions were deleted, because they had expired or were revoked."""

    expired: int
    revoked: int
    remaining_revoked: int


class Sessions:
    """The sessions in the user store *store*. Thread-safe; methods block on the disk.

    *clock* returns the Unix time. Methods that end another session take the principal that asks for
    it and the client's address, for the audit log.
    """

    def __init__(
        self, store: Store, limits: SessionLimits | None = None, clock: Clock = time.time
    ) -> None:
        self._store = store
        self.limits = limits or SessionLimits()
        self._clock = clock

    def now(self) -> int:
        """Returns the time by which sessions are judged, in whole Unix seconds."""
        return int(self._clock())

    def begin(
        self,
        user: User,
        method: str,
        *,
        address: str = "",
        agent: str = "",
        replaces: Sequence[str] = (),
        ends_at: int = 0,
        origin: ProviderSession | None = None,
    ) -> tuple[Session, str]:
        """Begins a session of *user* after a login by *method*. Returns it with its token.

        *origin* is what a provider said of the session, if the user came by one. The sessions of
        the tokens *replaces* end, if they are of *user*. Raises AuthenticationFailed if the user
        was dropped or disabled, or has another password meanwhile.
        """
        origin = origin or ProviderSession()
        token, now = new_session_token(), self.now()
        hash, old = session_hash(token), set(map(session_hash, replaces)) - {None}
        assert hash is not None
        session = Session(
            user.id,
            user.name,
            hash,
            created_at=now,
            rotated_at=now,
            method=method,
            ends_at=ends_at,
            address=address,
            agent=clean_agent(agent),
            provider=origin.provider,
            auth_at=origin.auth_at or now,
            sid=origin.sid,
            access_expires_at=origin.access_expires_at,
        )

        def change(tx: Tx) -> str:
            stored = tx.user(user.name)
            if stored is None or stored.id != user.id or stored.hash != user.hash:
                raise AuthenticationFailed
            if not stored.is_active:
                raise AuthenticationFailed
            for one in filter(None, old):
                known = tx.session_by_hash(one)
                if known is not None and known.user_id == user.id:
                    tx.drop_session(known)
            self._make_room(tx, stored, now)
            id = tx.add_session(session)
            if origin.tokens is not None:
                tx.put_session_tokens(id, origin.tokens)
            return id

        by = f"{method} {origin.provider}" if origin.provider else method
        audit = Audit(user.name, address, f"-- session begins ({by})")
        id, _ = self._store.transact(change, audit)
        return replace(session, id=id), token

    def _make_room(self, tx: Tx, user: User, now: int) -> None:
        """Revokes the oldest sessions of *user*, so that one more may begin."""
        if not self.limits.max_per_user:
            return
        active = [it for it in tx.sessions(user) if it.refusal(self.limits, now) is None]
        for session in active[: len(active) - self.limits.max_per_user + 1]:
            tx.put_session(session.revoked("limit", now))

    def authenticate(self, token: str) -> ShownSession:
        """Does what `authenticate_hash` does for a *token*."""
        return self.authenticate_hash(session_hash(token))

    def authenticate_hash(self, hash: bytes | None) -> ShownSession:
        """Returns what the token with *hash* stands for; None: no token. Writes nothing.

        Raises SessionRejected: with the code `invalid`, `expired` or `revoked`. A token that was
        replaced and whose successor is in use revokes its session: the caller has to call
        `revoke_reused`.
        """
        if hash is None:
            raise SessionRejected("invalid")
        now = self.now()
        # The snapshot caches what a token stands for, until a time and the user's next change.
        with self._store.snapshot() as snapshot:
            session = self._store.session_by_hash(hash)
            cached = snapshot.cached(("session", hash))
            if isinstance(cached, _KnownToken) and cached.session is session and now < cached.until:
                return cached.shown
            shown = self._judge(session, hash, now)
            if session is not None and shown.seen is None and not shown.rotates:
                until = session.unchanged_until(self.limits)
                snapshot.cache(("session", hash), _KnownToken(session, until, shown))
            return shown

    def _judge(self, session: Session | None, hash: bytes, now: int) -> ShownSession:
        """Returns what the token with *hash* of *session* stands for at *now*."""
        if session is None:
            raise SessionRejected("invalid")
        if (refusal := session.refusal(self.limits, now)) is not None:
            raise SessionRejected(refusal)
        if session.is_reused(hash, now):
            raise SessionReused(session)
        seen = session.shown(hash, self.limits, now)
        return ShownSession(
            self._principal(session),
            hash,
            seen if seen is not session else None,
            seen.may_rotate(hash, self.limits, now),
        )

    def renew(self, principal: Principal) -> Principal:
        """Returns *principal*, which came with a session, with its user read again.

        Raises SessionRejected if the session has ended.
        """
        assert principal.session is not None
        hash, now = principal.session.hash, self.now()
        with self._store.snapshot() as snapshot:
            session = self._store.session_by_hash(hash)
            cached = snapshot.cached(("session", hash))
            if isinstance(cached, _KnownToken) and cached.session is session and now < cached.until:
                if cached.shown.principal is principal:
                    return principal
            if session is None:
                raise SessionRejected("invalid")
            if (refusal := session.refusal(self.limits, now)) is not None:
                raise SessionRejected(refusal)
            return self._principal(session)

    def renew_by_id(self, principal: Principal) -> Principal:
        """Does what `renew` does, by the session's id: its token may have been replaced since.

        For a connection that stays open after the token has authenticated it.
        """
        session = principal.session
        assert session is not None
        after = str(int(session.id) - 1)
        found = self._store.sessions(after, 1, user_id=session.user_id)
        if not found or found[0].id != session.id:
            raise SessionRejected("invalid")
        if (refusal := found[0].refusal(self.limits, self.now())) is not None:
            raise SessionRejected(refusal)
        return self._principal(found[0])

    def _principal(self, session: Session) -> Principal:
        user = self._store.user(session.user)
        if user is None or user.id != session.user_id or not user.is_active:
            raise SessionRejected("revoked")
        return Principal(user, "session", session=session)

    def record_seen(self, tx: UpkeepTx, shown: ShownSession) -> None:
        """Stores that the token of *shown* was shown. Runs inside `Store.upkeep`."""
        session = tx.session_by_hash(shown.hash)
        if session is not None and not session.revoked_at:
            seen = session.shown(shown.hash, self.limits, self.now())
            if seen is not session:
                tx.put_session(seen)

    def rotate(self, shown: ShownSession, *, address: str, agent: str) -> str:
        """Gives the session of *shown* a new token, and returns it; "" if another request did.

        Raises StoreUnavailable, OutcomeUnknown.
        """
        token = new_session_token()
        new, now = session_hash(token), self.now()
        assert new is not None

        def change(tx: UpkeepTx) -> bool:
            stored = tx.session_by_hash(shown.hash)
            if stored is None or stored.refusal(self.limits, now) is not None:
                return False
            session = stored.shown(shown.hash, self.limits, now)
            if stored.is_reused(shown.hash, now) or not session.may_rotate(
                shown.hash, self.limits, now
            ):
                return False
            tx.put_session(session.rotated(shown.hash, new, now, address=address, agent=agent))
            return True

        return token if self._store.upkeep(change) else ""

    def rotate_now(self, session: Session, *, address: str, agent: str) -> str:
        """Gives *session* a new token at once, and returns it.

        Returns "" if the current token is less than 5 seconds old. Raises SessionRejected.
        """
        new_token = new_session_token()
        new, now = session_hash(new_token), self.now()
        assert new is not None

        def change(tx: UpkeepTx) -> bool:
            stored = tx.session_by_hash(session.hash)
            if stored is None or stored.id != session.id:
                raise SessionRejected("invalid")
            if (refusal := stored.refusal(self.limits, now)) is not None:
                raise SessionRejected(refusal)
            if now - stored.rotated_at < YOUNG_SECONDS:
                return False
            tx.put_session(stored.rotated(stored.hash, new, now, address=address, agent=agent))
            return True

        return new_token if self._store.upkeep(change) else ""

    def end(self, principal: Principal, address: str = "") -> None:
        """Ends the session of *principal*: the user signs out."""
        session = principal.session
        assert session is not None

        def change(tx: Tx) -> None:
            if (stored := tx.session(session.id)) is not None:
                tx.drop_session(stored)

        self._store.transact(
            change, Audit(principal.name, address, f"-- session {session.id} ends")
        )

    def revoke_reused(self, session: Session, address: str = "") -> None:
        """Revokes *session*, because a replaced token was shown again."""
        self._revoke(
            lambda tx: [tx.session(session.id)],
            "reuse",
            Audit(session.user, address, _revocation_text(session, "reuse")),
        )

    def revoke(
        self, principal: Principal, user: User, id: str, reason: RevocationReason, address: str = ""
    ) -> None:
        """Revokes the session *id* of *user*. Raises SessionNotFound."""
        found = next((one for one in self.active(user) if one.id == id), None)
        if found is None:
            raise SessionNotFound
        audit = principal_audit(principal, address, _revocation_text(found, reason))
        self._revoke(lambda tx: [tx.session(id)], reason, audit)

    def revoke_all(
        self,
        principal: Principal,
        users: Sequence[User],
        reason: RevocationReason,
        address: str = "",
        *,
        keep: str = "",
    ) -> int:
        """Revokes all sessions of *users* but the session *keep*, and returns their number."""
        names = ", ".join(quote_identifier(user.name) for user in users)
        audit = principal_audit(principal, address, f"-- sessions of {names} revoked ({reason})")

        def chosen(tx: Tx) -> list[Session | None]:
            return [it for user in users for it in tx.sessions(user) if it.id != keep]

        return self._revoke(chosen, reason, audit)

    def _revoke(
        self,
        choose: Callable[[Tx], Sequence[Session | None]],
        reason: RevocationReason,
        audit: Audit,
    ) -> int:
        now = self.now()

        def change(tx: Tx) -> int:
            active = [
                session
                for session in choose(tx)
                if session is not None and session.refusal(self.limits, now) is None
            ]
            for session in active:
                tx.put_session(session.revoked(reason, now))
            return len(active)

        return self._store.transact(change, audit)[0]

    def by_id(self, id: str) -> Session | None:
        """Returns the session *id*, also an ended one, or None."""
        found = self._store.sessions(str(int(id) - 1), 1)
        return found[0] if found and found[0].id == id else None

    def active(self, user: User | None = None) -> list[Session]:
        """Returns the sessions that have not ended, in order of creation; of *user* or of all."""
        return [one for one in self._all(user) if one.refusal(self.limits, self.now()) is None]

    def _all(self, user: User | None) -> list[Session]:
        found: list[Session] = []
        user_id = user.id if user is not None else ""
        while page := self._store.sessions(
            found[-1].id if found else "", _PAGE_SIZE, user_id=user_id
        ):
            found += page
        return found

    def prune(self, revoked_older: int = _REVOKED_SECONDS) -> Pruned:
        """Deletes expired sessions, and those that were revoked *revoked_older* seconds ago.

        Raises StoreUnavailable, OutcomeUnknown.
        """
        now = self.now()
        sessions = self._all(None)
        was_revoked = [one for one in sessions if one.revoked_at]
        expired = [one for one in sessions if not one.revoked_at and now >= one.ends(self.limits)]
        old = [one for one in was_revoked if now - one.revoked_at >= revoked_older]
        if expired or old:
            self._store.upkeep(lambda tx: tx.drop_sessions([*expired, *old]))
        return Pruned(len(expired), len(old), len(was_revoked) - len(old))


class SessionReused(SessionRejected):
    """A token was shown whose successor is in use: *session* has to be revoked."""

    def __init__(self, session: Session) -> None:
        super().__init__("revoked")
        self.session = session


def _revocation_text(session: Session, reason: RevocationReason) -> str:
    return f"-- session {session.id} of {quote_identifier(session.user)} revoked ({reason})"
