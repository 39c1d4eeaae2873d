"""Replaces the rights of a user: the admin flag and the grants, in one transaction."""

import hashlib
from collections.abc import Mapping

from headgate_engine import (
    DeclaredState,
    DeclaredUser,
    Principal,
    StatementError,
    Tx,
    User,
    UserNotFound,
    UserStatus,
    apply_changes,
    plan_changes,
)
from headgate_grammar import Privilege
from headgate_server.app_context import AppContext
from headgate_server.auth.sign_up import first_rights


class RightsChanged(StatementError):
    """The user's rights are not those that the change was made for."""

    def __init__(self) -> None:
        super().__init__("the rights of this user were changed meanwhile")


def rights_revision(user: User) -> str:
    """Returns a text that differs if the rights or the status of *user* differ."""
    grants = sorted((on, int(privilege)) for on, privilege in user.grants.items() if privilege)
    content = repr((user.id, user.admin, int(user.status), grants))
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def approve_sign_up(context: AppContext, principal: Principal, user: User, address: str) -> None:
    """Lets the pending *user* log in, with the rights of `signup-default-role`. Blocking.

    Raises what `replace_rights` raises, and NotPending.
    """
    rights = first_rights(context.settings)
    grants = rights.privileges_on(database.name for database in context.store.databases())
    if grants or rights.admin:
        replace_rights(
            context, principal, user, admin=bool(rights.admin), grants=grants, address=address
        )
    accounts = context.engine.accounts
    accounts.set_status(principal, user, UserStatus.ACTIVE, address, if_pending=True)


def replace_rights(
    context: AppContext,
    principal: Principal,
    user: User,
    *,
    admin: bool | None,
    grants: Mapping[str, Privilege] | None,
    address: str,
    revision: str = "",
) -> list[str]:
    """Gives *user* exactly these rights, and returns the InfluxQL statements that do so.

    None keeps the admin flag or the grants. With *revision*, nothing is changed unless
    `rights_revision` of the stored user is equal. Blocking.

    Raises:
        RightsChanged: *revision* is not that of the stored user.
        UserNotFound: *user* was dropped; a later user of the same name is another one.
        DatabaseNotFound, LastAdmin, StoreUnavailable, OutcomeUnknown.
    """
    declared = DeclaredState(users=[DeclaredUser(user.name, admin=admin, grants=grants)])
    plan = plan_changes(context.engine, declared)

    def is_same(tx: Tx) -> bool:
        stored = tx.user(user.name)
        if stored is None or stored.id != user.id:
            return False
        if revision and rights_revision(stored) != revision:
            raise RightsChanged
        return True

    if plan and not apply_changes(
        context.engine, plan, author=principal, address=address, require=is_same
    ):
        raise UserNotFound
    return [str(one.statement) for one in plan]
