"""The JSON of users, API keys and sessions, and the names of roles."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from headgate_engine import (
    NO_PASSWORD,
    ApiKey,
    KeyScope,
    Profile,
    Session,
    SessionLimits,
    User,
    UserStatus,
)
from headgate_grammar import Privilege
from headgate_server.config.role_words import ROLE_PRIVILEGES
from headgate_server.http.errors import BadRequest

PRIVILEGES = {
    "READ": Privilege.READ,
    "WRITE": Privilege.WRITE,
    "ALL": Privilege.ALL,
    "ALL PRIVILEGES": Privilege.ALL,
    "NONE": Privilege.NONE,
    "NO PRIVILEGES": Privilege.NONE,
}


def time_text(seconds: int) -> str | None:
    """Returns the Unix time *seconds* as RFC 3339 in UTC; None for 0."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user_json(user: User, profile: Profile) -> dict[str, Any]:
    """Returns *user* and their *profile* as JSON. It has no hash."""
    has_password = user.hash != NO_PASSWORD
    return {
        "id": user.id,
        "name": user.name,
        "email": profile.email,
        "emailVerified": profile.email_verified,
        "fullName": profile.full_name,
        "hasPassword": has_password,
        "isExternal": profile.has_identity and not has_password,
        "isDisabled": user.status is UserStatus.DISABLED,
        "isPending": user.status is UserStatus.PENDING,
        "createdAt": time_text(user.created_at),
        "updatedAt": time_text(profile.updated_at),
        "passwordChangedAt": time_text(user.password_changed_at) if has_password else None,
        "lastSeenAt": time_text(profile.last_seen_at),
        "role": role_name(user.grants.values(), admin=user.admin),
        "admin": user.admin,
        "grants": {on: str(privilege) for on, privilege in user.grants.items() if privilege},
    }


def key_json(key: ApiKey, text: str = "") -> dict[str, Any]:
    """Returns *key* as JSON; with *text*, which is shown once, also its `key`."""
    scope = key.scope
    content: dict[str, Any] = {
        "id": key.id,
        "name": key.name,
        "user": key.owner,
        "prefix": key.prefix,
        "role": role_name([scope.everywhere, *scope.grants.values()], admin=scope.admin),
        "admin": scope.admin,
        "everywhere": str(scope.everywhere),
        "grants": {on: str(privilege) for on, privilege in scope.grants.items()},
        "createdAt": time_text(key.created_at),
        "createdBy": key.created_by,
        "expiresAt": time_text(key.expires_at),
        "lastSeenAt": time_text(key.last_seen_at),
        "lastAddress": key.last_address or None,
        "previousUntil": time_text(key.previous_until),
        "previousLastSeenAt": time_text(key.previous_seen_at),
    }
    return content | ({"key": text} if text else {})


def session_json(
    session: Session, limits: SessionLimits, now: int, current: str = ""
) -> dict[str, Any]:
    """Returns *session* as JSON. *current* is the id of the session that asks."""
    return {
        "id": session.id,
        "user": session.user,
        "user_id": session.user_id,
        "is_active": session.refusal(limits, now) is None,
        "is_current": session.id == current,
        "method": session.method,
        "provider": session.provider or None,
        "client_ip": session.address,
        "user_agent": session.agent,
        "created_at": time_text(session.created_at),
        "rotated_at": time_text(session.rotated_at),
        "seen": session.seen,
        "seen_at": time_text(session.seen_at),
        "expires_at": time_text(session.ends(limits)),
        "needs_rotation": session.needs_rotation(limits, now),
    }


def role_name(privileges: Iterable[Privilege], *, admin: bool) -> str:
    """Returns the role that describes *privileges*: Admin, Editor, Agent or ReadOnly."""
    held = Privilege.NONE
    for privilege in privileges:
        held |= privilege
    if admin:
        return "Admin"
    if held is Privilege.ALL:
        return "Editor"
    return "Agent" if held is Privilege.WRITE else "ReadOnly"


def role_rights(role: str) -> tuple[bool, Privilege]:
    """Returns the admin flag and the privilege on databases that *role* stands for.

    Raises BadRequest for an unknown role.
    """
    if role.lower() not in ROLE_PRIVILEGES:
        raise BadRequest("role: expected Admin, Editor, Agent, ReadOnly or None")
    privilege = ROLE_PRIVILEGES[role.lower()]
    return (True, Privilege.ALL) if privilege is None else (False, privilege)


def grants_of(content: object) -> dict[str, Privilege]:
    """Returns grants by database. Raises BadRequest."""
    if not isinstance(content, dict):
        raise BadRequest("grants: expected an object")
    return {database: privilege_of(text, database) for database, text in content.items()}


def privilege_of(text: object, name: str) -> Privilege:
    """Returns the privilege *text*, of *name*. Raises BadRequest."""
    found = PRIVILEGES.get(text.upper()) if isinstance(text, str) else None
    if found is None:
        raise BadRequest(f"{name}: expected READ, WRITE or ALL")
    return found


def scope_of(content: Mapping[str, Any]) -> KeyScope:
    """Returns the scope in the body *content* of a new key. Raises BadRequest."""
    own = {"admin", "everywhere", "grants"} & content.keys()
    if "role" in content:
        if own:
            raise BadRequest(f"role: expected no {min(own)} beside it")
        if not isinstance(content["role"], str):
            raise BadRequest("role: expected a text")
        admin, everywhere = role_rights(content["role"])
        return KeyScope(admin, everywhere)
    admin = content.get("admin", False)
    if not isinstance(admin, bool):
        raise BadRequest("admin: expected true or false")
    grants = grants_of(content.get("grants", {}))
    # With grants, a key has nothing on other databases.
    everywhere = Privilege.NONE if grants else Privilege.ALL
    if "everywhere" in content:
        everywhere = privilege_of(content["everywhere"], "everywhere")
    return KeyScope(admin, everywhere, grants)
