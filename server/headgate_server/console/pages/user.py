"""The page of one user: rights, profile, password, sessions, keys, and whether they may log in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from starlette.responses import Response

from headgate_engine import NO_PASSWORD, Database, Profile, User, UserStatus
from headgate_grammar import DropUser, Privilege, SetPassword
from headgate_server.api.accounts.identities import provider_names, provider_titles
from headgate_server.api.accounts.rights import (
    RightsChanged,
    approve_sign_up,
    replace_rights,
    rights_revision,
)
from headgate_server.api.accounts.views import privilege_of
from headgate_server.auth.common_passwords import MIN_CHARACTERS, check_persons_password
from headgate_server.console.pages.users import MAX_KEYS, grant_statement, privileges
from headgate_server.console.visit import Visit
from headgate_server.console.wording import is_confirmed, privilege
from headgate_server.http.errors import BadRequest

_MAX_DATABASES = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """One privilege that a form offers: its word, and the statement that would give it."""

    word: str
    value: str
    is_held: bool
    is_chosen: bool
    statement: str


@dataclass(frozen=True, slots=True)
class RightsRow:
    """A database in the form of a user's rights, with its choices."""

    database: Database
    choices: list[Choice]


def show(visit: Visit) -> Response:
    """Shows the user in the path."""
    user, context = visit.user_of_path(), visit.context
    wanted = visit.query.get("db", "")
    databases = [it for it in context.store.databases() if wanted in it.name]
    # First those of a form that was refused, then those with rights, then by name.
    sent = visit.form if visit.error else {}
    first = visit.query.get("first", "")
    databases.sort(
        key=lambda it: (
            f"grant.{it.id}" not in sent and it.name != first,
            not user.grants.get(it.name),
            it.name,
        )
    )
    shown = databases[:_MAX_DATABASES]
    is_last_admin = user.admin and user.is_active and context.store.admin_count() == 1
    profile = context.engine.accounts.profile(user)
    return visit.render(
        "user.html",
        user=user,
        profile=profile,
        is_verified_chosen=sent.get("verified") == "yes"
        if "full_name" in sent
        else profile.email_verified,
        rights=[_row(visit, user, database) for database in shown],
        hidden=len(databases) - len(shown),
        revision=rights_revision(user),
        is_admin_chosen=sent.get("admin") == "yes" if "revision" in sent else user.admin,
        is_last_admin=is_last_admin and context.engine.keep_last_admin,
        is_me=_is_me(visit, user),
        has_password=user.hash != NO_PASSWORD,
        sessions=context.engine.sessions.active(user),
        keys=context.engine.api_keys.keys("", MAX_KEYS, owner=user),
        min_password=max(MIN_CHARACTERS, context.settings.password_min_length),
        is_pending=user.status is UserStatus.PENDING,
        identities=context.engine.identities.of_user(user),
        titles=provider_titles(context),
    )


def _is_me(visit: Visit, user: User) -> bool:
    return visit.principal.user is not None and visit.principal.user.id == user.id


def _row(visit: Visit, user: User, database: Database) -> RightsRow:
    held = user.grants.get(database.name, Privilege.NONE)
    chosen = visit.form.get(f"grant.{database.id}", "") if visit.error else ""
    choices = []
    for offered in privileges():
        value = str(offered) if offered else "NONE"
        is_chosen = value == chosen if chosen else offered is held
        choices.append(
            Choice(
                "none" if not offered else privilege(offered),
                value,
                offered is held,
                is_chosen,
                "" if offered is held else str(grant_statement(user, database, offered)),
            )
        )
    return RightsRow(database, choices)


def change_rights(visit: Visit) -> Response:
    """Sets the admin flag and the privileges that the form shows."""
    user = visit.user_of_path()
    is_admin = visit.form.get("admin") == "yes"
    if user.admin and not is_admin and _is_me(visit, user):
        raise BadRequest("Another administrator can take this mark from you.")
    grants = {on: held for on, held in user.grants.items() if held}
    for database in visit.context.store.databases():
        if (text := visit.form.get(f"grant.{database.id}")) is None:
            continue
        if chosen := privilege_of(text, database.name):
            grants[database.name] = chosen
        else:
            grants.pop(database.name, None)
    try:
        ran = replace_rights(
            visit.context,
            visit.principal,
            user,
            admin=is_admin,
            grants=grants,
            address=visit.address,
            revision=visit.form.get("revision") or "-",
        )
    except RightsChanged:
        raise BadRequest(
            "These rights were changed meanwhile, so nothing was saved. The current rights are in"
            " bold, and your choice is kept. Check it, then save again."
        ) from None
    done = _changes(user, is_admin=is_admin, grants=grants) if ran else "Nothing to change."
    return visit.redirect(_page(visit, user), done, tuple(ran))


def _changes(user: User, *, is_admin: bool, grants: Mapping[str, Privilege]) -> str:
    """Returns the change of the rights of *user* in words, such as `shop: READ → WRITE`."""
    changes = []
    if user.admin is not is_admin:
        changes.append("now an administrator" if is_admin else "no administrator any more")
    for name in sorted({*user.grants, *grants}):
        old, new = (it.get(name, Privilege.NONE) for it in (user.grants, grants))
        if old is not new:
            changes.append(f"{name}: {_word(old)} → {_word(new)}")
    return f"Rights changed. {', '.join(changes)}."


def _word(held: Privilege) -> str:
    return privilege(held) if held else "none"


def _page(visit: Visit, user: User) -> str:
    """Returns the address of the page of *user*, with the filter that the form was sent from."""
    wanted = visit.query.get("db", "")
    return f"/console/users/{user.id}" + (f"?db={quote(wanted, safe='')}" if wanted else "")


def change_profile(visit: Visit) -> Response:
    """Sets the e-mail address and the full name."""
    user, form = visit.user_of_path(), visit.form
    email = form.get("email", "").strip()

    def changed(profile: Profile) -> Profile:
        verified = form.get("verified") == "yes" and bool(email)
        return replace(
            profile, email=email, email_verified=verified, full_name=form.get("full_name", "")
        )

    visit.context.engine.accounts.change_profile(visit.principal, user, changed, visit.address)
    return visit.redirect(f"/console/users/{user.id}", "Profile saved.")


def set_password(visit: Visit) -> Response:
    """Sets the password, which ends the user's sessions; with `revoke`, revokes their keys too."""
    user = visit.other_user()
    password = visit.form.get("password", "")
    if not password:
        raise BadRequest("Type a password.")
    check_persons_password(password, visit.context.settings.password_min_length)
    engine = visit.context.engine
    statement = SetPassword(user.name, password)
    engine.execute_statement(statement, visit.principal, "", visit.address)
    done = "Password set. The sessions of this user have ended."
    if visit.form.get("revoke") == "yes":
        revoked = engine.api_keys.revoke_all(visit.principal, user, visit.address)
        done += f" Keys revoked: {revoked}."
    return visit.redirect(f"/console/users/{user.id}", done, (str(statement),))


def end_sessions(visit: Visit) -> Response:
    """Ends all sessions of the user."""
    user = visit.user_of_path()
    ended = visit.context.engine.sessions.revoke_all(
        visit.principal, [user], "admin", visit.address
    )
    return visit.redirect(f"/console/users/{user.id}", f"Sessions ended: {ended}.")


def unlink(visit: Visit) -> Response:
    """Unlinks the identity that the form names, and ends the user's sessions by it."""
    user, context, id = visit.user_of_path(), visit.context, visit.form.get("identity", "")
    found = next((it for it in context.engine.identities.of_user(user) if it.id == id), None)
    providers = provider_names(context, found.issuer) if found is not None else ()
    context.engine.identities.unlink(visit.principal, user, id, visit.address, providers=providers)
    return visit.redirect(f"/console/users/{user.id}", "Identity unlinked.")


def set_status(visit: Visit) -> Response:
    """Disables the user, or lets them log in again."""
    user = visit.other_user()
    wanted = visit.form.get("status", "")
    if wanted == "approved":
        if user.status is not UserStatus.PENDING:
            raise BadRequest("This account does not wait for approval any more.")
        approve_sign_up(visit.context, visit.principal, user, visit.address)
        return visit.redirect(f"/console/users/{user.id}", "Account approved: they can sign in.")
    if wanted not in ("active", "disabled"):
        raise BadRequest("status: expected active, approved or disabled")
    status = UserStatus[wanted.upper()]
    accounts = visit.context.engine.accounts
    accounts.set_status(visit.principal, user, status, visit.address)
    done = (
        "User enabled: logins work again."
        if status is UserStatus.ACTIVE
        else "User disabled. Password, keys and tokens are refused, and their sessions have ended."
    )
    return visit.redirect(f"/console/users/{user.id}", done)


def drop(visit: Visit) -> Response:
    """Drops the user. The form must have the name."""
    user = visit.other_user()
    if not is_confirmed(visit.form.get("confirm", ""), user.name):
        raise BadRequest("This is not the user's name. Type it to drop them.")
    statement = DropUser(user.name)
    visit.context.engine.execute_statement(statement, visit.principal, "", visit.address)
    return visit.redirect("/console/users", "User dropped.", (str(statement),))
