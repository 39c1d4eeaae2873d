"""The OpenAPI description of the endpoints of accounts, made from their functions."""

from collections.abc import Callable, Mapping
from typing import Any

from headgate_server.api.accounts import (
    audit,
    identities,
    keys,
    own_account,
    sessions,
    terminal_sign_in,
    users,
)
from headgate_server.api.accounts.routes import ACCOUNT_ROUTES

_TEXT: dict[str, Any] = {"type": "string"}
_ID: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{1,32}$"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_NUMBER: dict[str, Any] = {"type": "integer"}
_TIME: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
_MAYBE: dict[str, Any] = {"type": ["string", "null"]}
_PASSWORD: dict[str, Any] = {"type": "string", "contentEncoding": "base64"}
_PRIVILEGES = {"enum": ["READ", "WRITE", "ALL", "ALL PRIVILEGES", "NONE", "NO PRIVILEGES"]}
_GRANTS: dict[str, Any] = {"type": "object", "additionalProperties": _PRIVILEGES}
_ROLE = {"enum": ["Admin", "GrafanaAdmin", "Editor", "Agent", "ReadOnly", "Viewer", "None"]}
_NAMES = {"type": "array", "items": _TEXT}
_PROFILE = {"email": _TEXT, "emailVerified": _FLAG, "fullName": _TEXT}
_RIGHTS = {"role": _ROLE, "databases": _NAMES}
_KEY_BODY = {
    "name": _TEXT,
    "role": _ROLE,
    "admin": _FLAG,
    "everywhere": _PRIVILEGES,
    "grants": _GRANTS,
    "ttlSeconds": _NUMBER,
    "expiresAt": {"type": "string", "format": "date-time"},
}
# The members of bodies, by the function that reads them.
_BODIES: Mapping[Callable[..., Any], dict[str, Any]] = {
    keys.create_key: _KEY_BODY | {"user": _TEXT},
    keys.create_own_key: _KEY_BODY,
    keys.rotate_key: {"graceSeconds": _NUMBER, "ttlSeconds": _NUMBER},
    users.create_user: {"name": _TEXT, "password": _PASSWORD}
    | _PROFILE
    | _RIGHTS
    | {"grants": _GRANTS},
    users.change_user: _PROFILE,
    users.set_password: {"password": _PASSWORD},
    users.approve_user: _RIGHTS,
    users.set_role: _RIGHTS,
    users.set_grants: {"admin": _FLAG, "grants": _GRANTS},
    own_account.change_own_account: {"email": _TEXT, "fullName": _TEXT},
    identities.link_identity: {"issuer": _TEXT, "subject": _TEXT},
    sessions.sign_in: {"user": _TEXT, "password": _TEXT},
    sessions.login: {"user": _TEXT, "username": _TEXT, "password": _TEXT},
    sessions.end_sessions: {"users": _NAMES},
    terminal_sign_in.sign_in_by_device: {"provider": _TEXT, "handle": _TEXT},
    terminal_sign_in.sign_in_by_code: {"code": _TEXT, "verifier": _TEXT},
}
_REQUIRED: Mapping[Callable[..., Any], list[str]] = {
    **dict.fromkeys((keys.create_key, keys.create_own_key, users.create_user), ["name"]),
    **dict.fromkeys((users.set_password, sessions.login), ["password"]),
    identities.link_identity: ["issuer", "subject"],
    users.set_role: ["role"],
    users.set_grants: ["grants"],
    sessions.sign_in: ["user", "password"],
    sessions.end_sessions: ["users"],
    terminal_sign_in.sign_in_by_code: ["code", "verifier"],
}
# The schema of the response, by function; others return 204 without content.
_RESPONSES: Mapping[Callable[..., Any], tuple[int, dict[str, Any]]] = {
    keys.create_key: (201, {"$ref": "#/components/schemas/Key"}),
    keys.create_own_key: (201, {"$ref": "#/components/schemas/Key"}),
    keys.show_key: (200, {"$ref": "#/components/schemas/Key"}),
    keys.rotate_key: (200, {"$ref": "#/components/schemas/Key"}),
    **dict.fromkeys(
        (keys.list_keys, keys.list_own_keys, keys.list_keys_of_user),
        (200, {"type": "array", "items": {"$ref": "#/components/schemas/Key"}}),
    ),
    **dict.fromkeys(
        (
            *(users.show_user, users.change_user, users.approve_user, users.set_grants),
            *(own_account.show_own_account, own_account.change_own_account),
        ),
        (200, {"$ref": "#/components/schemas/User"}),
    ),
    users.create_user: (201, {"$ref": "#/components/schemas/User"}),
    users.list_users: (200, {"type": "array", "items": {"$ref": "#/components/schemas/User"}}),
    **dict.fromkeys(
        (own_account.list_own_sessions, sessions.list_sessions_of_user),
        (200, {"type": "array", "items": {"$ref": "#/components/schemas/Session"}}),
    ),
    **dict.fromkeys(
        (
            *(keys.revoke_keys_of_user, own_account.end_other_own_sessions),
            *(sessions.end_sessions_of_user, sessions.end_sessions),
        ),
        (200, {"type": "object", "properties": {"revoked": _NUMBER}, "required": ["revoked"]}),
    ),
    **dict.fromkeys(
        (
            *(sessions.sign_in, sessions.show_session, sessions.list_sessions),
            *(terminal_sign_in.sign_in_by_device, terminal_sign_in.sign_in_by_code),
        ),
        (200, {"type": "object"}),
    ),
    identities.link_identity: (201, {"$ref": "#/components/schemas/LinkedIdentity"}),
    **dict.fromkeys(
        (identities.list_own_identities, identities.list_identities_of_user),
        (200, {"type": "array", "items": {"$ref": "#/components/schemas/LinkedIdentity"}}),
    ),
    identities.list_providers: (200, {"type": "array", "items": {"type": "object"}}),
    audit.list_audit: (200, {"type": "array", "items": {"type": "object"}}),
    sessions.rotate_session: (200, {"type": "object", "properties": {"rotated": _FLAG}}),
}
# The functions that need no login.
_OPEN = (
    identities.list_providers,
    *(terminal_sign_in.sign_in_by_device, terminal_sign_in.sign_in_by_code),
)
# Further responses, by function: the status and its meaning.
_MORE_RESPONSES: Mapping[Callable[..., Any], dict[str, str]] = {
    terminal_sign_in.sign_in_by_device: {
        "202": "The person has not approved the device yet",
        "501": "The provider has no device authorization",
        "502": "The provider did not answer as expected",
    },
}
_REFUSALS = {
    "400": "An invalid body, parameter or state",
    "401": "Missing or invalid credentials",
    "403": "The caller may not do this",
    "404": "No such user, key, session or database",
    "405": "Another method",
    "409": "A conflict with what exists",
    "413": "A body above 64 KiB",
    "415": "A body of another type than JSON",
    "429": "Too many failed logins",
    "503": "Too busy, or the store is unavailable",
}


def _operation(path: str, method: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Returns the description of *function*, which answers *method* on *path*."""
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    plain = {"text/plain": {"schema": _TEXT}}  # for a path or method that does not exist
    status, schema = _RESPONSES.get(function, (204, {}))
    success: dict[str, Any] = {"description": "Done"}
    if schema:
        success["content"] = {"application/json": {"schema": schema}}
    place = "".join(part.strip("{}").title() for part in path.split("/"))
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}{place}",
        "summary": (function.__doc__ or "").partition("\n")[0].rstrip("."),
        "security": [] if function in _OPEN else [{"basic": []}, {"bearer": []}, {"session": []}],
        "responses": {
            str(status): success,
            **{
                code: {
                    "description": why,
                    "content": error | (plain if code in ("404", "405") else {}),
                }
                for code, why in _REFUSALS.items()
            },
        },
    }
    for more, why in _MORE_RESPONSES.get(function, {}).items():
        described["responses"][more] = {"description": why}
    if function in _BODIES:
        body = {
            "type": "object",
            "properties": _BODIES[function],
            "required": _REQUIRED.get(function, []),
            "additionalProperties": False,
        }
        described["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return described


def _path(path: str, methods: Mapping[str, Callable[..., Any]]) -> tuple[str, dict[str, Any]]:
    """Returns *path* with a name for each id, and the description of its *methods*."""
    names = ["id", "session"][: path.count("{id}")]
    for name in names[1:]:
        path = f"{{{name}}}".join(path.rsplit("{id}", 1))
    item: dict[str, Any] = {
        method.lower(): _operation(path, method, function) for method, function in methods.items()
    }
    if names:
        item["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": _ID} for name in names
        ]
    return path, item


ACCOUNT_PATHS: dict[str, Any] = dict(
    _path(path, methods)
    for path, methods in ACCOUNT_ROUTES.items()
    if path.startswith("/api/") and path != "/api/user/password"
)


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


ACCOUNT_SCHEMAS: dict[str, Any] = {
    "User": _object(
        id=_TEXT,
        name=_TEXT,
        email=_TEXT,
        emailVerified=_FLAG,
        fullName=_TEXT,
        hasPassword=_FLAG,
        isExternal=_FLAG,
        isDisabled=_FLAG,
        isPending=_FLAG,
        createdAt=_TIME,
        updatedAt=_TIME,
        passwordChangedAt=_TIME,
        lastSeenAt=_TIME,
        role=_TEXT,
        admin=_FLAG,
        grants=_GRANTS,
        identities={"type": "array", "items": {"$ref": "#/components/schemas/LinkedIdentity"}},
    ),
    "Key": _object(
        id=_TEXT,
        name=_TEXT,
        user=_TEXT,
        prefix=_TEXT,
        role=_TEXT,
        admin=_FLAG,
        everywhere=_TEXT,
        grants=_GRANTS,
        createdAt=_TIME,
        createdBy=_TEXT,
        expiresAt=_TIME,
        lastSeenAt=_TIME,
        lastAddress=_MAYBE,
        previousUntil=_TIME,
        previousLastSeenAt=_TIME,
        key=_TEXT,
    ),
    "LinkedIdentity": _object(
        id=_TEXT, issuer=_TEXT, subject=_TEXT, providers=_NAMES, linkedAt=_TIME
    ),
    "Session": _object(
        id=_TEXT,
        user=_TEXT,
        user_id=_TEXT,
        is_active=_FLAG,
        is_current=_FLAG,
        method=_TEXT,
        provider=_MAYBE,
        client_ip=_TEXT,
        user_agent=_TEXT,
        created_at=_TIME,
        rotated_at=_TIME,
        seen=_FLAG,
        seen_at=_TIME,
        expires_at=_TIME,
        needs_rotation=_FLAG,
    ),
}
