"""The endpoints of users, for administrators."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from headgate_engine import (
    NO_PASSWORD,
    NewUser,
    NotPending,
    Principal,
    Profile,
    User,
    UserStatus,
)
from headgate_grammar import DropUser, Privilege, SetPassword
from headgate_server.api.accounts.requests import (
    decoded_password,
    has_body,
    json_response,
    member,
    no_content,
    page_of,
    page_response,
    read_object,
    require_admin,
    user_of_path,
)
from headgate_server.api.accounts.rights import approve_sign_up, replace_rights
from headgate_server.api.accounts.views import grants_of, role_rights, user_json
from headgate_server.app_context import AppContext
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest, OwnAccount
from headgate_server.http.request import Request
from headgate_server.http.response import Response

_PROFILE = ("email", "emailVerified", "fullName")
_RIGHTS = ("role", "databases", "grants")
_INTERNAL_DATABASE = "_internal"
_SCAN_PAGE = 1000


async def list_users(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns a page of users: of a `name` prefix, or only `pending` or `disabled` ones."""
    await require_admin(request, context)
    after, limit = page_of(request)
    parameters = request.url_params
    prefix = parameters.get("name", "")
    statuses = {
        status
        for name, status in (("pending", UserStatus.PENDING), ("disabled", UserStatus.DISABLED))
        if parameters.get(name) == "true"
    }

    def chosen(user: User) -> bool:
        return user.name.startswith(prefix) and (not statuses or user.status in statuses)

    def read() -> list[dict[str, Any]]:
        users = _scan(context, after, limit, chosen)
        profiles = context.store.profiles([user.id for user in users])
        return [user_json(user, profiles.get(user.id, Profile())) for user in users]

    return page_response(request, await context.run_in_thread(read), limit)


def _scan(
    context: AppContext, after: str, limit: int, chosen: Callable[[User], bool]
) -> list[User]:
    """Returns the first *limit* users after the id *after* that *chosen* accepts."""
    found: list[User] = []
    while len(found) < limit:
        page = context.store.users_with_grants(after, _SCAN_PAGE)
        if not page:
            break
        found += filter(chosen, page)
        after = page[-1].id
    return found[:limit]


async def create_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Creates a user. Returns 201. Without a password, it is a service account with keys only.

    `role` or `grants` give rights; without both, the user has none.
    """
    principal = await require_admin(request, context)
    members = ("name", "password", *_PROFILE, *_RIGHTS)
    principal, content = await read_object(request, context, principal, members, required=["name"])
    profile = _profile(content, Profile())
    password = decoded_password(content, "password") if "password" in content else None
    name = member(content, "name", str, "")

    def create() -> dict[str, Any]:
        admin, grants = _rights(context, content)
        hash = NO_PASSWORD if password is None else context.engine.passwords.hash(password)
        new = NewUser(name, hash, admin, grants or {}, profile)
        user = context.engine.accounts.create(principal, new, request.audit_address)
        return user_json(user, context.engine.accounts.profile(user))

    return json_response(await context.run_in_thread(create, (principal.name,)), 201)


async def show_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the user in the path."""
    await require_admin(request, context)
    return json_response(await context.run_in_thread(partial(_show, request, context)))


def _show(request: Request, context: AppContext) -> dict[str, Any]:
    user = user_of_path(request, context)
    return user_json(user, context.engine.accounts.profile(user))


async def change_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Changes the profile of the user in the path, and returns the user."""
    principal = await require_admin(request, context)
    principal, content = await read_object(request, context, principal, (*_PROFILE, "name"))
    if "name" in content:
        raise BadRequest("user names cannot be changed")

    def change() -> dict[str, Any]:
        context.engine.accounts.change_profile(
            principal,
            user_of_path(request, context),
            partial(_profile, content),
            request.audit_address,
        )
        return _show(request, context)

    return json_response(await context.run_in_thread(change))


def _profile(content: Mapping[str, Any], profile: Profile) -> Profile:
    """Returns *profile* with the members of the body *content*. Raises BadRequest."""
    email = member(content, "email", str, profile.email)
    verified = profile.email_verified and email == profile.email
    return replace(
        profile,
        email=email,
        email_verified=member(content, "emailVerified", bool, verified),
        full_name=member(content, "fullName", str, profile.full_name),
    )


async def drop_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Drops the user in the path, as DROP USER does."""
    principal = await require_admin(request, context)

    def drop() -> None:
        user = _other_user(request, context, principal)
        statement = DropUser(user.name)
        context.engine.execute_statement(statement, principal, "", request.audit_address)

    await context.run_in_thread(drop)
    return no_content()


async def set_password(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Sets the password of the user in the path, as SET PASSWORD does, and ends their sessions."""
    principal = await require_admin(request, context)
    principal, content = await read_object(
        request, context, principal, ["password"], required=["password"]
    )
    password = decoded_password(content, "password")

    def change() -> None:
        user = _other_user(request, context, principal)
        statement = SetPassword(user.name, password)
        context.engine.execute_statement(statement, principal, "", request.audit_address)

    await context.run_in_thread(change, (principal.name,))
    return no_content()


async def disable_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Disables the user in the path: no login succeeds, and their sessions end."""
    return await _set_status(request, context, UserStatus.DISABLED)


async def enable_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Lets the user in the path log in again."""
    return await _set_status(request, context, UserStatus.ACTIVE)


async def _set_status(request: Request, context: AppContext, status: UserStatus) -> Response:
    principal = await require_admin(request, context)

    def change() -> None:
        user = _other_user(request, context, principal)
        context.engine.accounts.set_status(principal, user, status, request.audit_address)

    await context.run_in_thread(change)
    return no_content()


async def approve_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Lets the pending user in the path log in, with the rights in the body. Returns the user.

    Without rights in the body, the user gets those of `signup-default-role`.
    """
    principal = await require_admin(request, context)
    content: dict[str, Any] = {}
    if has_body(request):
        principal, content = await read_object(request, context, principal, ("role", "databases"))

    def approve() -> dict[str, Any]:
        user = _other_user(request, context, principal)
        if user.status is not UserStatus.PENDING:
            raise NotPending
        if content:
            _apply_rights(request, context, principal, user, content)
            status = partial(context.engine.accounts.set_status, if_pending=True)
            status(principal, user, UserStatus.ACTIVE, request.audit_address)
        else:
            approve_sign_up(context, principal, user, request.audit_address)
        return _show(request, context)

    return json_response(await context.run_in_thread(approve))


async def set_role(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Replaces all rights of the user in the path by those of a role."""
    principal = await require_admin(request, context)
    principal, content = await read_object(
        request, context, principal, ("role", "databases"), required=["role"]
    )

    def change() -> None:
        user = _other_user(request, context, principal)
        _apply_rights(request, context, principal, user, content)

    await context.run_in_thread(change)
    return no_content()


async def set_grants(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Replaces the grants, and `admin` if named, of the user in the path. Returns the user."""
    principal = await require_admin(request, context)
    principal, content = await read_object(
        request, context, principal, ("admin", "grants"), required=["grants"]
    )
    grants_of(content["grants"])
    member(content, "admin", bool, None)

    def change() -> dict[str, Any]:
        user = user_of_path(request, context)
        _apply_rights(request, context, principal, user, content)
        return _show(request, context)

    return json_response(await context.run_in_thread(change))


def _apply_rights(
    request: Request,
    context: AppContext,
    principal: Principal,
    user: User,
    content: Mapping[str, Any],
) -> None:
    """Gives *user* exactly the rights in the body *content*, in one transaction."""
    admin, grants = _rights(context, content)
    replace_rights(
        context,
        principal,
        user,
        admin=content.get("admin") if "role" not in content else admin,
        grants=grants,
        address=request.audit_address,
    )


def _rights(
    context: AppContext, content: Mapping[str, Any]
) -> tuple[bool, dict[str, Privilege] | None]:
    """Returns the admin flag and the grants in the body *content*. Raises BadRequest."""
    if "role" not in content:
        if "databases" in content:
            raise BadRequest("databases: expected a role beside it")
        return False, grants_of(content["grants"]) if "grants" in content else None
    if "grants" in content:
        raise BadRequest("role: expected no grants beside it")
    admin, privilege = role_rights(member(content, "role", str, ""))
    names = member(content, "databases", list, [*context.settings.role_databases])
    if not all(isinstance(name, str) for name in names):
        raise BadRequest("databases: expected a list of names")
    if "*" in names:
        there = (database.name for database in context.store.databases())
        names = [name for name in there if name != _INTERNAL_DATABASE]
    # An administrator has all privileges without grants.
    return admin, {} if admin else {name: privilege for name in names if privilege}


def _other_user(request: Request, context: AppContext, principal: Principal) -> User:
    """Returns the user in the path. Raises UserNotFound, and OwnAccount for the caller."""
    user = user_of_path(request, context)
    if principal.user is not None and principal.user.id == user.id:
        raise OwnAccount
    return user
