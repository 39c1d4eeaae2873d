"""The endpoints of accounts by path and method."""

from collections.abc import Awaitable, Callable

from headgate_server.api.accounts import (
    audit,
    identities,
    keys,
    own_account,
    sessions,
    sign_up,
    terminal_sign_in,
    users,
)
from headgate_server.api.own_password import change_own_password
from headgate_server.app_context import AppContext
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.request import Request
from headgate_server.http.response import ASGIResponse

_Handler = Callable[[Request, AppContext, ResultEncoder, Mount | None], Awaitable[ASGIResponse]]

ACCOUNT_ROUTES: dict[str, dict[str, _Handler]] = {
    "/api/keys": {"GET": keys.list_keys, "POST": keys.create_key},
    "/api/keys/{id}": {"GET": keys.show_key, "DELETE": keys.revoke_key},
    "/api/keys/{id}/rotate": {"POST": keys.rotate_key},
    "/api/keys/{id}/previous": {"DELETE": keys.end_previous_key},
    "/api/user": {
        "GET": own_account.show_own_account,
        "PATCH": own_account.change_own_account,
    },
    "/api/user/password": {"PUT": change_own_password},
    "/api/user/keys": {"GET": keys.list_own_keys, "POST": keys.create_own_key},
    "/api/user/keys/{id}": {"DELETE": keys.revoke_key},
    "/api/user/keys/{id}/rotate": {"POST": keys.rotate_key},
    "/api/user/keys/{id}/previous": {"DELETE": keys.end_previous_key},
    "/api/user/sessions": {
        "GET": own_account.list_own_sessions,
        "DELETE": own_account.end_other_own_sessions,
    },
    "/api/user/sessions/{id}": {"DELETE": own_account.end_own_session},
    "/api/user/identities": {"GET": identities.list_own_identities},
    "/api/user/identities/{id}": {"DELETE": identities.unlink_own_identity},
    "/api/users/{id}/identities": {
        "GET": identities.list_identities_of_user,
        "POST": identities.link_identity,
    },
    "/api/users/{id}/identities/{id}": {"DELETE": identities.unlink_identity},
    "/api/providers": {"GET": identities.list_providers},
    "/api/users": {"GET": users.list_users, "POST": users.create_user},
    "/api/users/{id}": {
        "GET": users.show_user,
        "PATCH": users.change_user,
        "DELETE": users.drop_user,
    },
    "/api/users/{id}/password": {"PUT": users.set_password},
    "/api/users/{id}/disable": {"PUT": users.disable_user},
    "/api/users/{id}/enable": {"PUT": users.enable_user},
    "/api/users/{id}/approve": {"PUT": users.approve_user},
    "/api/users/{id}/role": {"PUT": users.set_role},
    "/api/users/{id}/grants": {"PUT": users.set_grants},
    "/api/users/{id}/keys": {"GET": keys.list_keys_of_user, "DELETE": keys.revoke_keys_of_user},
    "/api/users/{id}/sessions": {
        "GET": sessions.list_sessions_of_user,
        "DELETE": sessions.end_sessions_of_user,
    },
    "/api/users/{id}/sessions/{id}": {"DELETE": sessions.end_session_of_user},
    "/api/session": {
        "GET": sessions.show_session,
        "POST": sessions.sign_in,
        "DELETE": sessions.sign_out,
    },
    "/api/session/rotate": {"POST": sessions.rotate_session},
    "/api/session/device": {"POST": terminal_sign_in.sign_in_by_device},
    "/api/session/code": {"POST": terminal_sign_in.sign_in_by_code},
    "/api/sessions": {"GET": sessions.list_sessions},
    "/api/sessions/revoke": {"POST": sessions.end_sessions},
    "/api/audit": {"GET": audit.list_audit},
    "/login": {"POST": sessions.login},
    "/logout": {"POST": sessions.sign_out},
    "/signup": {"POST": sign_up.sign_up},
}
