"""The accounts in a transaction of a shared store: profiles, API keys and sessions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from headgate_engine.model.api_key import ApiKey
from headgate_engine.model.profile import Profile
from headgate_engine.model.session import Session, SessionTokens
from headgate_engine.model.user import User
from headgate_engine.stores.shared.mirror import Mirror, profile_of, with_grants, with_scope
from headgate_engine.stores.shared.records import (
    KeyRecord,
    SessionRecord,
    UsedTokenRecord,
    UserRecord,
)
from headgate_engine.stores.shared.tables import Overlay


class AccountChanges:
    """Implements `AccountTx` and `UpkeepTx` over *mirror*. *keys* name what has changed."""

    def __init__(self, mirror: Mirror) -> None:
        tables, head = mirror.tables, mirror.head
        self.last_id = head.last_id if head is not None else 0
        self.keys: list[str] = []
        self._names = mirror.database_names
        self.users = Overlay(tables.users)
        self.databases = Overlay(tables.databases)
        self.api_key_records = Overlay(tables.keys)
        self.session_records = Overlay(tables.sessions)
        self.dropped = Overlay(tables.dropped)
        self.used = Overlay(tables.used)
        self.overlays: Mapping[str, Overlay[Any]] = {
            "u/": self.users,
            "d/": self.databases,
            "k/": self.api_key_records,
            "s/": self.session_records,
            "x/": self.dropped,
            "t/": self.used,
        }

    def savepoint(self) -> Callable[[], None]:
        """Returns a function that undoes the changes from now on."""
        last_id, keys = self.last_id, len(self.keys)
        changed = {prefix: dict(overlay.changed) for prefix, overlay in self.overlays.items()}

        def undo() -> None:
            self.last_id = last_id
            del self.keys[keys:]
            for prefix, overlay in self.overlays.items():
                overlay.changed = changed[prefix]

        return undo

    def new_id(self) -> str:
        """Returns an id that was never used."""
        self.last_id += 1
        return str(self.last_id)

    def database_name(self, id: str) -> str | None:
        """Returns the name of the database *id*, or None if there is none."""
        record = self.databases.first("id", id)
        return None if record is None else record.database.name

    def _database_id(self, name: str) -> str | None:
        record = self.databases.get(name)
        return None if record is None else record.database.id

    def record_of(self, user: User) -> UserRecord:
        """Returns the record of *user*. Raises KeyError if the user is gone."""
        record = self.users.get(user.name)
        if record is None:
            raise KeyError(user.name)
        return record

    def put_record(self, record: UserRecord) -> None:
        """Replaces the record of a user."""
        self.users.put(record.user.name, record)
        self.keys.append(f"user:{record.user.name}")

    def _user(self, record: UserRecord | None) -> User | None:
        return None if record is None else with_grants(record, self.database_name)

    def _users(self, records: Sequence[UserRecord]) -> list[User]:
        return [with_grants(record, self.database_name) for record in records]

    def user_by_id(self, id: str) -> User | None:
        """Returns the user with the id *id*, or None."""
        return self._user(self.users.first("id", id))

    def profile(self, user: User) -> Profile:
        """Returns the profile of *user*."""
        return profile_of(self.record_of(user))

    def put_profile(self, user: User, profile: Profile) -> None:
        """Replaces the profile of *user*, except for `last_seen_at`."""
        record = self.record_of(user)
        kept = replace(profile, last_seen_at=record.profile.last_seen_at, has_identity=False)
        self.put_record(replace(record, profile=kept))

    def api_key(self, id: str) -> ApiKey | None:
        """Returns the API key *id*, or None."""
        return self._key(self.api_key_records.get(id))

    def _key(self, record: KeyRecord | None) -> ApiKey | None:
        return None if record is None else with_scope(record, self._database_id)

    def api_keys(self, user: User) -> Sequence[ApiKey]:
        """Returns the keys of *user* that are not revoked, in order of creation."""
        found = self.api_key_records.find("owner", user.id)
        return [with_scope(it, self._database_id) for it in found if not it.key.revoked_at]

    def add_api_key(self, key: ApiKey) -> str:
        """Adds *key*, whose id is ignored, and returns its new id."""
        id = self.new_id()
        scope = {on: of for on in key.scope.grants if (of := self._database_id(on)) is not None}
        record = KeyRecord(replace(key, id=id), MappingProxyType(scope))
        self.api_key_records.put(id, record)
        self.keys.append(f"user:{key.owner}")
        return id

    def put_api_key(self, key: ApiKey) -> None:
        """Replaces the stored key with the id of *key*, except for its owner and scope."""
        record = self._key_record(key.id)
        changed = replace(key, scope=record.key.scope)
        self.api_key_records.put(key.id, replace(record, key=changed))
        self.keys.append(f"user:{key.owner}")

    def _key_record(self, id: str) -> KeyRecord:
        record = self.api_key_records.get(id)
        if record is None:
            raise KeyError(id)
        return record

    def session(self, id: str) -> Session | None:
        """Returns the session *id*, or None."""
        record = self.session_records.get(id)
        return None if record is None else record.session

    def session_by_hash(self, hash: bytes) -> Session | None:
        """Returns the session with this current or previous hash, or None."""
        record = self.session_records.first("hash", hash)
        return None if record is None else record.session

    def sessions(self, user: User) -> Sequence[Session]:
        """Returns all sessions of *user*, also revoked ones, in order of creation."""
        return [it.session for it in self.session_records.find("user", user.id)]

    def sessions_by_sid(self, provider: str, sid: str) -> Sequence[Session]:
        """Returns the sessions of *provider* that it calls *sid*."""
        return [it.session for it in self.session_records.find("sid", (provider, sid))]

    def add_session(self, session: Session) -> str:
        """Adds *session*, whose id is ignored, and returns its new id."""
        id = self.new_id()
        self.session_records.put(id, SessionRecord(replace(session, id=id)))
        self.keys.append(f"user:{session.user}")
        return id

    def put_session(self, session: Session) -> None:
        """Replaces the stored session with the id of *session*, if it is stored still."""
        if (record := self.session_records.get(session.id)) is not None:
            self.session_records.put(session.id, replace(record, session=session))
        self.keys.append(f"user:{session.user}")

    def drop_session(self, session: Session) -> None:
        """Deletes *session*."""
        self.session_records.put(session.id, None)
        self.keys.append(f"user:{session.user}")

    def session_tokens(self, session_id: str) -> SessionTokens | None:
        """Returns the provider's tokens of the session *session_id*, or None."""
        record = self.session_records.get(session_id)
        return None if record is None else record.tokens

    def put_session_tokens(self, session_id: str, tokens: SessionTokens) -> None:
        """Replaces the provider's tokens of the session *session_id*, if the session exists."""
        if (record := self.session_records.get(session_id)) is not None:
            self.session_records.put(session_id, replace(record, tokens=tokens))

    def drop_account(self, user: User) -> None:
        """Deletes the keys and the sessions of *user*."""
        for key in self.api_key_records.find("owner", user.id):
            self.api_key_records.put(key.key.id, None)
        for session in self.sessions(user):
            self.session_records.put(session.id, None)

    # ---- UpkeepTx

    def drop_sessions(self, sessions: Sequence[Session]) -> None:
        """Deletes *sessions*, which have ended."""
        for session in sessions:
            if self.session_records.get(session.id) is not None:
                self.session_records.put(session.id, None)

    def touch_user(self, id: str, at: int) -> None:
        """Advances `last_seen_at` of the user *id* to *at*. Skips an unknown user."""
        record = self.users.first("id", id)
        if record is not None and at > record.profile.last_seen_at:
            profile = replace(record.profile, last_seen_at=at)
            self.users.put(record.user.name, replace(record, profile=profile))

    def touch_api_key(self, id: str, at: int, address: str, *, previous: bool) -> None:
        """Advances the last use of the key *id* to *at*; also of its *previous* text."""
        record = self.api_key_records.get(id)
        if record is None:
            return
        key = record.key
        seen = max(at, key.previous_seen_at) if previous else key.previous_seen_at
        touched = replace(
            key,
            last_seen_at=max(at, key.last_seen_at),
            last_address=address,
            previous_seen_at=seen,
        )
        self.api_key_records.put(id, replace(record, key=touched))

    def settle_api_key(self, key: ApiKey, hash: bytes, prefix: str) -> None:
        """Stores *hash* and *prefix* of the text of the imported *key*."""
        record = self.api_key_records.get(key.id)
        if record is None or not record.key.imported or record.key.imported != key.imported:
            return
        settled = replace(record.key, hash=hash, prefix=prefix, imported="")
        self.api_key_records.put(key.id, replace(record, key=settled))

    def drop_revoked_api_keys(self, before: int) -> int:
        """Deletes keys that were revoked before the time *before*. Returns their number."""
        records = self.api_key_records.all()
        old = [it.key.id for it in records if 0 < it.key.revoked_at < before]
        for id in old:
            self.api_key_records.put(id, None)
        return len(old)

    def use_token(self, digest: bytes, expires_at: int) -> bool:
        """Records the use of the token with *digest*; False if it was used before."""
        if self.used.get(digest.hex()) is not None:
            return False
        self.used.put(digest.hex(), UsedTokenRecord(digest, expires_at))
        return True

    def drop_used_tokens(self, before: int) -> int:
        """Deletes the records of tokens that expired before *before*. Returns their number."""
        old = [it for it in self.used.all() if it.expires_at < before]
        for one in old:
            self.used.put(one.digest.hex(), None)
        return len(old)
