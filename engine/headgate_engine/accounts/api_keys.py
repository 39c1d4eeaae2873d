"""Makes, rotates, revokes and verifies API keys."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from headgate_engine.audit_entry import principal_audit
from headgate_engine.errors import (
    AuthenticationFailed,
    BadKey,
    DatabaseNotFound,
    KeyExists,
    KeyNotFound,
    KeyRejected,
    NotAuthorized,
    TooManyKeys,
    UserNotFound,
)
from headgate_engine.model.api_key import (
    ApiKey,
    KeyScope,
    is_key_text,
    key_fault,
    key_hash,
    new_key_text,
    shown_prefix,
)
from headgate_engine.model.audit import Audit
from headgate_engine.model.principal import Principal
from headgate_engine.model.user import User, is_encodable
from headgate_engine.stores.base import Store, Tx
from headgate_grammar import Privilege, quote_identifier

# Names beside a key in Basic and in `u` that stand for the key's owner.
KEY_USERNAMES = ("api_key", "apikey")
MAX_GRACE_SECONDS = 7 * 86_400
GRACE_SECONDS = 3600
_MAX_NAME_CHARS = 255
_LAST_TIME = 253_402_300_799  # the end of the year 9999
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The limits of API keys. *max_lifetime* is in seconds; -1: keys may be valid for ever.

    A user has at most *max_per_user* keys that are not revoked.
    """

    max_per_user: int = 100
    max_lifetime: int = -1


class ApiKeys:
    """The API keys in the user store *store*. Thread-safe; methods block on the disk.

    *clock* returns the Unix time. Methods that change a key take the principal that asks for it and
    the client's address, for the audit log.
    """

    def __init__(
        self, store: Store, limits: KeyLimits | None = None, clock: Clock = time.time
    ) -> None:
        self._store = store
        self.limits = limits or KeyLimits()
        self._clock = clock

    def authenticate(self, text: str, username: str = "") -> Principal:
        """Returns the principal of the key *text*: its owner with the rights that the key includes.

        *username* is the name beside the key: "", `api_key`, `apikey`, or the owner's name. Raises
        KeyRejected for a key that is malformed, unknown, expired or revoked. Raises
        AuthenticationFailed for another name, and if the owner may not log in.
        """
        return self.authenticate_hash(key_hash(text) if not key_fault(text) else None, username)

    def authenticate_hash(self, hash: bytes | None, username: str = "") -> Principal:
        """Does what `authenticate` does for the key with *hash*; None: a malformed key."""
        if hash is None:
            raise KeyRejected("malformed")
        # The snapshot caches the principal of one revision, so key and owner must be of it.
        with self._store.snapshot() as snapshot:
            cached = snapshot.cached(("key", hash))
            if isinstance(cached, Principal):
                principal = cached
            else:
                principal = self._principal(hash)
                snapshot.cache(("key", hash), principal)
        key = principal.key
        assert key is not None
        _check_times(key, int(self._clock()))
        if username not in ("", key.owner, *KEY_USERNAMES):
            raise AuthenticationFailed
        return principal

    def renew(self, principal: Principal) -> Principal:
        """Returns *principal*, which came with a key, with the key's rights now.

        Raises KeyRejected, AuthenticationFailed.
        """
        assert principal.key is not None
        return self.authenticate_hash(principal.key.hash)

    def _principal(self, hash: bytes) -> Principal:
        """Returns the principal of the key whose current or previous text has the hash *hash*."""
        key = self._store.api_key_by_hash(hash)
        if key is None or key.imported:
            raise KeyRejected("unknown")
        if key.revoked_at:
            raise KeyRejected("revoked")
        owner = self._store.user(key.owner)
        if owner is None or owner.id != key.owner_id or not owner.is_active:
            raise AuthenticationFailed
        if hash != key.hash:  # `renew` finds the key by the text that was shown
            key = replace(key, hash=hash, previous=b"", is_shown_by_previous=True)
        return Principal(self.restricted(owner, key.scope), "key", key=key)

    def restricted(self, owner: User, scope: KeyScope) -> User:
        """Returns *owner* with only the rights that *scope* includes."""
        databases = self._store.databases() if owner.admin and not scope.admin else ()
        return scope.restrict(owner, (database.name for database in databases))

    def create(
        self,
        creator: Principal,
        owner: User,
        name: str,
        scope: KeyScope,
        address: str = "",
        *,
        lifetime: int | None = None,
        expires_at: int | None = None,
    ) -> tuple[ApiKey, str]:
        """Makes a key *name* of *owner*, and returns it with its text.

        The text is nowhere stored. *lifetime* is in seconds (None or 0: for ever); *expires_at* is
        a Unix time in its place. Raises UserNotFound, DatabaseNotFound, NotAuthorized, BadKey,
        KeyExists, TooManyKeys.
        """
        _check_name(name)
        _check_scope(scope)
        _check_creator(creator, owner.id, scope)
        text, now = new_key_text(), int(self._clock())
        ends = self._end(now, lifetime, expires_at)
        made: list[ApiKey] = []

        def change(tx: Tx) -> None:
            user = tx.user_by_id(owner.id)
            if user is None or user.name != owner.name:
                raise UserNotFound
            for database in scope.grants:
                if tx.database(database) is None:
                    raise DatabaseNotFound(database)
            known = tx.api_keys(user)
            if any(key.name == name for key in known):
                raise KeyExists
            if len(known) >= self.limits.max_per_user:
                raise TooManyKeys
            key = ApiKey(
                user.id,
                user.name,
                name,
                shown_prefix(text),
                key_hash(text),
                scope,
                created_at=now,
                created_by=creator.name,
                rotated_at=now,
                expires_at=ends,
            )
            made[:] = [replace(key, id=tx.add_api_key(key))]

        words = f"made: {scope_text(scope)}{_end_text(ends)}"
        self._store.transact(change, self._audit(creator, address, name, owner.name, words))
        return made[0], text

    def rotate(
        self,
        creator: Principal,
        key: ApiKey,
        address: str = "",
        *,
        grace: int = GRACE_SECONDS,
        lifetime: int | None = None,
    ) -> tuple[ApiKey, str]:
        """Gives *key* a new text, and returns the key with it.

        The previous text is valid for *grace* seconds more, at most 7 days. *lifetime* None: the
        new text is valid as long as the previous one was. The previous text of an imported key that
        was never used ends at once: the store has no hash by which to find it.

        Raises KeyNotFound, BadKey, NotAuthorized.
        """
        if not 0 <= grace <= MAX_GRACE_SECONDS:
            raise BadKey(f"graceSeconds: expected 0 to {MAX_GRACE_SECONDS}")
        _check_manager(creator, key.owner_id)
        text, now = new_key_text(), int(self._clock())
        ends = self._end(now, key.lifetime if lifetime is None else lifetime, None)

        def rotated(stored: ApiKey) -> ApiKey:
            # The previous text keeps its own end.
            until = min(now + grace, stored.expires_at or now + grace)
            keeps = until > now and not stored.imported
            return replace(
                stored,
                hash=key_hash(text),
                prefix=shown_prefix(text),
                previous=stored.hash if keeps else b"",
                previous_until=until if keeps else 0,
                previous_seen_at=stored.last_seen_at if keeps else 0,
                rotated_at=now,
                expires_at=ends,
                imported="",
            )

        return self._change(creator, key, address, f"rotated{_end_text(ends)}", rotated), text

    def end_previous(self, creator: Principal, key: ApiKey, address: str = "") -> None:
        """Ends the previous text of *key*. Raises KeyNotFound, also if there is none."""

        def ended(stored: ApiKey) -> ApiKey:
            if not stored.previous:
                raise KeyNotFound
            return replace(stored, previous=b"", previous_until=0)

        self._change(creator, key, address, "previous text ended", ended)

    def revoke(self, creator: Principal, key: ApiKey, address: str = "") -> None:
        """Revokes *key*: the next request with it is rejected. Raises KeyNotFound."""
        now = int(self._clock())
        # The previous text stays known, so that it is refused as revoked.
        self._change(creator, key, address, "revoked", partial(replace, revoked_at=now))

    def revoke_all(self, creator: Principal, owner: User, address: str = "") -> int:
        """Revokes all keys of *owner*, and returns their number."""
        now = int(self._clock())

        def change(tx: Tx) -> int:
            keys = tx.api_keys(owner)
            for key in keys:
                tx.put_api_key(replace(key, revoked_at=now))
            return len(keys)

        statement = f"-- all keys of {quote_identifier(owner.name)} revoked"
        return self._store.transact(change, principal_audit(creator, address, statement))[0]

    def find(self, id: str, *, owner: User | None = None) -> ApiKey:
        """Returns the key *id*, which is not revoked. Raises KeyNotFound.

        With *owner*, also raises KeyNotFound for a key of another user.
        """
        number = int(id) if id.isascii() and id.isdigit() and len(id) <= 18 else 0
        found = self._store.api_keys(str(number - 1), 1) if number > 0 else ()
        if not found or found[0].id != str(number):
            raise KeyNotFound
        if owner is not None and found[0].owner_id != owner.id:
            raise KeyNotFound
        return found[0]

    def keys(
        self, after: str = "", limit: int = 1000, *, owner: User | None = None
    ) -> Sequence[ApiKey]:
        """Returns at most *limit* keys after the id *after*, in order of creation."""
        return self._store.api_keys(after, limit, owner_id=owner.id if owner is not None else "")

    def _change(
        self,
        creator: Principal,
        key: ApiKey,
        address: str,
        words: str,
        change: Callable[[ApiKey], ApiKey],
    ) -> ApiKey:
        """Stores the result of *change*, given the stored key, and returns it."""

        def write(tx: Tx) -> ApiKey:
            stored = tx.api_key(key.id)
            if stored is None or stored.revoked_at:
                raise KeyNotFound
            changed = change(stored)
            tx.put_api_key(changed)
            return changed

        audit = self._audit(creator, address, key.name, key.owner, words, key.id)
        return self._store.transact(write, audit)[0]

    def _audit(
        self, creator: Principal, address: str, name: str, owner: str, words: str, id: str = ""
    ) -> Audit:
        number = f" {id}" if id else ""
        names = f"{quote_identifier(name)} of {quote_identifier(owner)}"
        return principal_audit(creator, address, f"-- key{number} {names} {words}")

    def _end(self, now: int, lifetime: int | None, expires_at: int | None) -> int:
        """Returns when a key ends that is made *now*; 0 for never. Raises BadKey."""
        if lifetime is not None and expires_at is not None:
            raise BadKey("ttlSeconds and expiresAt: expected one of them")
        if lifetime is not None and lifetime < 0:
            raise BadKey("ttlSeconds: expected 0 or more")
        ends = expires_at if expires_at is not None else now + lifetime if lifetime else 0
        if expires_at is not None and expires_at <= now:
            raise BadKey("expiresAt: expected a time to come")
        if ends > _LAST_TIME:
            raise BadKey("ttlSeconds: expected a time before the year 10000")
        limit = self.limits.max_lifetime
        if limit >= 0 and not ends:
            raise BadKey("Number of seconds before expiration should be set")
        if limit >= 0 and ends - now > limit:
            raise BadKey("Number of seconds before expiration is greater than the global limit")
        return ends


def _check_manager(creator: Principal, owner_id: str) -> None:
    """Raises NotAuthorized if *creator* may not make or rotate keys of the user *owner_id*."""
    user = creator.user
    if creator.transient_rights is not None:
        raise NotAuthorized(creator.name, "create a key", "a login with lasting rights")
    if creator.key is not None and not creator.has_full_access:
        raise NotAuthorized(creator.name, "create a key", "a login: a key cannot make keys")
    if not creator.has_full_access and (user is None or creator.transient or owner_id != user.id):
        raise NotAuthorized(creator.name, "create a key of another user", "admin privilege")


def _check_creator(creator: Principal, owner_id: str, scope: KeyScope) -> None:
    """Raises NotAuthorized if *creator* may not make a key of *owner_id* with *scope*."""
    _check_manager(creator, owner_id)
    user = creator.user
    if creator.has_full_access or user is None:
        return
    if scope.admin:
        raise NotAuthorized(creator.name, "create a key", "admin privilege")
    for database, privilege in scope.grants.items():
        if missing := privilege & ~user.grants.get(database, Privilege.NONE):
            required = f"{Privilege(missing)} on {database}"
            raise NotAuthorized(creator.name, "create a key", required)


def _check_times(key: ApiKey, now: int) -> None:
    """Raises KeyRejected if *key*, as it was shown, is not valid at *now*."""
    if key.is_shown_by_previous and now >= key.previous_until:
        raise KeyRejected("revoked")
    if key.expires_at and now >= key.expires_at:
        raise KeyRejected("expired")


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _MAX_NAME_CHARS or not name.isprintable() or not is_encodable(name):
        raise BadKey(f"name: expected 1 to {_MAX_NAME_CHARS} characters, no control characters")
    if is_key_text(name):  # the audit has the name
        raise BadKey("name: it looks like an API key, which must stay secret")


def _check_scope(scope: KeyScope) -> None:
    if scope.admin and (scope.grants or scope.everywhere is not Privilege.ALL):
        raise BadKey("admin: such a key has all privileges: expected no grants beside it")


def scope_text(scope: KeyScope) -> str:
    """Returns *scope* as the audit log has it: `WRITE ON shop, READ ON *`."""
    if scope.admin:
        return "ALL PRIVILEGES"
    grants = [f"{privilege} ON {quote_identifier(on)}" for on, privilege in scope.grants.items()]
    if scope.everywhere:
        grants.append(f"{scope.everywhere} ON *")
    return ", ".join(grants) or str(Privilege.NONE)


def _end_text(ends: int) -> str:
    if not ends:
        return ""
    return f", until {datetime.fromtimestamp(ends, UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"
