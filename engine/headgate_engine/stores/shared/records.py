"""The records that a shared store keeps of users, databases, keys and sessions, and their encoding.

A record is a JSON object with named members. A member that this version does not know is kept when
the record is written again: another server may be newer.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar

from headgate_engine.model.api_key import ApiKey, KeyScope
from headgate_engine.model.database import Database
from headgate_engine.model.profile import Profile
from headgate_engine.model.retention_policy import RetentionPolicy
from headgate_engine.model.session import Session, SessionTokens
from headgate_engine.model.user import LinkedIdentity, User, UserStatus
from headgate_grammar import Privilege

T = TypeVar("T")

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_NO_GRANTS: Mapping[str, Privilege] = MappingProxyType({})
_DECODER = json.JSONDecoder()
# Faster than the call of the class, which a start makes for each grant.
_PRIVILEGES = {int(privilege): privilege for privilege in map(Privilege, range(4))}


class BadRecord(ValueError):
    """A record of the store cannot be read: another program has written it, or damaged it."""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user, and all that ends with the user but keys and sessions.

    *user* has no grants: *grants* maps ids of databases to privileges. *unknown* has the members
    that only a newer version knows.
    """

    user: User
    grants: Mapping[str, Privilege] = field(default_factory=lambda: _NO_GRANTS)
    profile: Profile = Profile()
    identities: tuple[LinkedIdentity, ...] = ()
    unknown: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class DatabaseRecord:
    """A database. *unknown* is as in `UserRecord`."""

    database: Database
    unknown: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key. *scope* maps the databases of its scope to their ids at that time."""

    key: ApiKey
    scope: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    unknown: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session, with the tokens of its provider."""

    session: Session
    tokens: SessionTokens | None = None
    unknown: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class DroppedRecord:
    """The Unix time *at* when a user of an identity was dropped."""

    issuer: str
    subject: str
    at: float


@dataclass(frozen=True, slots=True)
class UsedTokenRecord:
    """A token that may be used once was used; *digest* identifies it until *expires_at*."""

    digest: bytes = field(repr=False)
    expires_at: int


Record = UserRecord | DatabaseRecord | KeyRecord | SessionRecord | DroppedRecord | UsedTokenRecord


def encoded(record: Record) -> bytes:
    """Returns the JSON text of *record*."""
    match record:
        case UserRecord(user, grants, profile, identities, unknown):
            content = {**unknown, **_members(user, "grants")}
            content["grants"] = {id: int(privilege) for id, privilege in grants.items()}
            content["profile"] = _members(profile, "has_identity")
            content["identities"] = [_members(identity) for identity in identities]
        case DatabaseRecord(database, unknown):
            content = {**unknown, **_members(database, "policies", "exclusive_stores")}
            content["policies"] = [_members(policy) for policy in database.policies]
            content["exclusive_stores"] = sorted(database.exclusive_stores)
        case KeyRecord(key, scope, unknown):
            content = {**unknown, **_members(key, "scope", "is_shown_by_previous")}
            bound = key.scope
            grants_of_key = {on: [scope[on], int(bound.grants[on])] for on in scope}
            content["scope"] = {
                "admin": bound.admin,
                "everywhere": int(bound.everywhere),
                "grants": grants_of_key,
            }
        case SessionRecord(session, tokens, unknown):
            content = {**unknown, **_members(session)}
            if tokens is not None:
                content["tokens"] = _members(tokens)
        case _:
            content = _members(record)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def decoded(kind: type[T], text: bytes) -> T:
    """Returns the record of the class *kind* with the JSON *text*. Raises BadRecord."""
    try:
        content = _DECODER.decode(text.decode())
        if not isinstance(content, dict):
            raise BadRecord("no object")
        record: T = _READERS[kind](content)
    except BadRecord:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadRecord(type(error).__name__) from None
    return record


def _user(content: dict[str, Any]) -> UserRecord:
    grants = {str(int(id)): _PRIVILEGES[value] for id, value in content.pop("grants").items()}
    profile = _built(Profile, content.pop("profile"))
    identities = tuple(_built(LinkedIdentity, one) for one in content.pop("identities"))
    more: dict[str, Any] = {"grants": _NO_GRANTS}
    if "status" in content:
        more["status"] = UserStatus(content.pop("status"))
    user, unknown = _split(User, content, **more)
    return UserRecord(user, MappingProxyType(grants), profile, identities, unknown)


def _database(content: dict[str, Any]) -> DatabaseRecord:
    policies = tuple(_built(RetentionPolicy, one) for one in content.pop("policies"))
    exclusive = frozenset(map(str, content.pop("exclusive_stores")))
    database, unknown = _split(Database, content, policies=policies, exclusive_stores=exclusive)
    return DatabaseRecord(database, unknown)


def _key(content: dict[str, Any]) -> KeyRecord:
    scope = content.pop("scope")
    grants = {str(on): _PRIVILEGES[privilege] for on, (_, privilege) in scope["grants"].items()}
    ids = {str(on): str(int(id)) for on, (id, _) in scope["grants"].items()}
    bound = KeyScope(bool(scope["admin"]), Privilege(scope["everywhere"]), MappingProxyType(grants))
    key, unknown = _split(ApiKey, content, scope=bound)
    return KeyRecord(key, MappingProxyType(ids), unknown)


def _session(content: dict[str, Any]) -> SessionRecord:
    tokens = content.pop("tokens", None)
    session, unknown = _split(Session, content)
    return SessionRecord(
        session, None if tokens is None else _built(SessionTokens, tokens), unknown
    )


_READERS: Mapping[type, Callable[[dict[str, Any]], Any]] = {
    UserRecord: _user,
    DatabaseRecord: _database,
    KeyRecord: _key,
    SessionRecord: _session,
    DroppedRecord: lambda content: _built(DroppedRecord, content),
    UsedTokenRecord: lambda content: _built(UsedTokenRecord, content),
}


def _members(record: Any, *without: str) -> dict[str, Any]:
    """Returns the members of the dataclass *record* as JSON has them; bytes as hexadecimal."""
    members: dict[str, Any] = {}
    for one in fields(record):
        value = getattr(record, one.name)
        if one.name in without or value == one.default:
            continue
        members[one.name] = value.hex() if isinstance(value, bytes) else value
    return members


def _built(kind: type[T], content: Mapping[str, Any], **more: Any) -> T:
    """Returns the dataclass *kind* with the members of *content*; others are ignored."""
    if not content and not more:
        found: T = _built_of_nothing(kind)  # type: ignore[arg-type]
        return found
    return _split(kind, dict(content), **more)[0]


@lru_cache
def _built_of_nothing(kind: type[Any]) -> Any:
    return _split(kind, {})[0]


def _split(kind: type[T], content: dict[str, Any], **more: Any) -> tuple[T, Mapping[str, Any]]:
    """Returns the dataclass *kind* with the members in *content*, and those that it does not have.

    Raises BadRecord for a member of another type than that of the field.
    """
    for name, type_, required in _fields_of(kind):  # type: ignore[arg-type]
        if name in content and name not in more:
            value = content.pop(name)
            more[name] = value if type(value) is type_ else _typed(name, type_, value)
        elif required and name not in more:
            raise BadRecord(f"{name}: missing")
    return kind(**more), MappingProxyType(content) if content else _NOTHING


@lru_cache
def _fields_of(kind: type[Any]) -> tuple[tuple[str, Any, bool], ...]:
    """Returns the name and type of each field of *kind*, and whether it has no default."""
    return tuple(
        (one.name, one.type, one.default is MISSING and one.default_factory is MISSING)
        for one in fields(kind)
    )


_JSON_TYPES: Mapping[Any, tuple[type, ...]] = {
    str: (str,),
    bytes: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
}


def _typed(name: str, kind: Any, value: Any) -> Any:
    """Returns *value* as a field of the type *kind* has it. Raises BadRecord."""
    expected = _JSON_TYPES.get(kind, (object,))
    if not isinstance(value, expected) or (isinstance(value, bool) and kind in (int, float)):
        raise BadRecord(f"{name}: of another type")
    return bytes.fromhex(str(value)) if kind is bytes else value
