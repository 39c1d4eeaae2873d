"""The pages of users: the list, and the form of a new user."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from headgate_engine import NO_PASSWORD, Database, NewUser, Profile, User, UserStatus
from headgate_grammar import Grant, Privilege, Revoke
from headgate_server.api.accounts.views import role_rights
from headgate_server.auth.common_passwords import check_persons_password
from headgate_server.console.visit import Visit
from headgate_server.http.errors import BadRequest

_STATES = ("active", "disabled", "pending", "never-seen")
_SCAN_PAGE, _MAX_SCANNED = 500, 5_000
# The keys of a user that a page counts.
MAX_KEYS = 1000
_PASSWORD_BYTES = 18


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user in the list, with the numbers of keys and of active sessions."""

    user: User
    profile: Profile
    keys: int
    sessions: int
    has_password: bool


def show_list(visit: Visit) -> Response:
    """Shows a page of users by name, of a state if the parameter `state` names one."""
    size = visit.context.settings.console_page_size
    users, next_after = _chosen(visit, size)
    profiles = visit.context.store.profiles([user.id for user in users])
    rows = [_row(visit, user, profiles.get(user.id, Profile())) for user in users]
    return visit.render(
        "users.html", rows=rows, next_after=next_after, total=visit.context.store.user_count()
    )


def _chosen(visit: Visit, size: int) -> tuple[list[User], str]:
    """Returns the users of the page, and the name after which the next page starts; "": none.

    Reads at most 5,000 users, so that a rare state takes several pages.
    """
    state, contains = visit.query.get("state", ""), visit.query.get("name", "")
    after, found = visit.query.get("after", ""), list[User]()
    for _ in range(_MAX_SCANNED // _SCAN_PAGE):
        limit = _SCAN_PAGE if state in _STATES else size + 1
        page = visit.context.store.users_by_name(contains, after, limit)
        for user in _of_state(visit, page, state):
            if len(found) == size:
                return found, found[-1].name
            found.append(user)
        if len(page) < limit:
            return found, ""
        after = page[-1].name
    return found, after


def _of_state(visit: Visit, page: Sequence[User], state: str) -> list[User]:
    if state == "never-seen":
        profiles = visit.context.store.profiles([user.id for user in page])
        return [it for it in page if not profiles.get(it.id, Profile()).last_seen_at]
    if state in _STATES:
        wanted = UserStatus[state.upper()]
        return [user for user in page if user.status is wanted]
    return list(page)


def _row(visit: Visit, user: User, profile: Profile) -> UserRow:
    engine = visit.context.engine
    keys = len(engine.api_keys.keys("", MAX_KEYS, owner=user))
    sessions = len(engine.sessions.active(user))
    return UserRow(user, profile, keys, sessions, user.hash != NO_PASSWORD)


def show_new(visit: Visit) -> Response:
    """Shows the form of a new user."""
    return visit.render("user_new.html")


def create(visit: Visit) -> Response:
    """Creates a user. A password that was generated is shown once."""
    form, context = visit.form, visit.context
    name, kind = form.get("name", ""), form.get("password_kind", "typed")
    generated = secrets.token_urlsafe(_PASSWORD_BYTES) if kind == "generated" else ""
    password = generated or form.get("password", "")
    if kind == "typed" and not password:
        raise BadRequest("Type a password, or choose another way.")
    if kind == "typed":
        check_persons_password(password, context.settings.password_min_length)
    if kind != "typed" and form.get("password"):
        raise BadRequest("You typed a password, but chose another way to log in.")
    admin, privilege = role_rights(form.get("role", "none"))
    databases = [it.name for it in context.store.databases() if it.name != "_internal"]
    grants = dict.fromkeys(databases, privilege) if privilege and not admin else {}
    hash = NO_PASSWORD if kind == "none" else context.engine.passwords.hash(password)
    profile = Profile(email=form.get("email", "").strip(), full_name=form.get("full_name", ""))
    new = NewUser(name, hash, admin, grants, profile)
    user = context.engine.accounts.create(visit.principal, new, visit.address)
    if generated:
        return visit.render("user_made.html", user=user, password=generated)
    done = "User created." if admin or grants else "User created, without rights so far."
    return visit.redirect(f"/console/users/{user.id}", done)


def grant_statement(user: User, database: Database, wanted: Privilege) -> Grant | Revoke:
    """Returns the statement that gives *user* exactly the privilege *wanted* on *database*."""
    if wanted:
        return Grant(wanted, database.name, user.name)
    return Revoke(Privilege.ALL, database.name, user.name)


def privileges() -> list[Privilege]:
    """Returns the privileges in the order in which forms offer them."""
    return [Privilege.NONE, Privilege.READ, Privilege.WRITE, Privilege.ALL]
