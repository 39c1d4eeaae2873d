"""The page of one's own account: profile, password, rights, keys and sessions."""

from dataclasses import replace
from functools import partial

from starlette.responses import Response

from headgate_engine import NO_PASSWORD, Profile
from headgate_grammar import Privilege
from headgate_server.api.accounts.identities import provider_names, provider_titles
from headgate_server.api.own_password import replace_own_password
from headgate_server.auth.common_passwords import MIN_CHARACTERS, check_persons_password
from headgate_server.auth.recent_login import check_recent_login
from headgate_server.config.oauth import OAuthSettings
from headgate_server.console.pages.users import MAX_KEYS
from headgate_server.console.visit import Visit
from headgate_server.http.errors import BadRequest


def show(visit: Visit) -> Response:
    """Shows the account of the person that is signed in."""
    user, engine = visit.user, visit.context.engine
    grants = {on: held for on, held in sorted(user.grants.items()) if held is not Privilege.NONE}
    return visit.render(
        "account.html",
        user=user,
        profile=engine.accounts.profile(user),
        grants=grants,
        identities=engine.identities.of_user(user),
        linkable=_linkable(visit),
        titles=provider_titles(visit.context),
        has_password=user.hash != NO_PASSWORD,
        keys=len(engine.api_keys.keys("", MAX_KEYS, owner=user)),
        sessions=engine.sessions.active(user),
        current=visit.principal.session,
        min_password=max(MIN_CHARACTERS, visit.context.settings.password_min_length),
    )


def _linkable(visit: Visit) -> list[OAuthSettings]:
    """Returns the providers with which the person has no identity yet."""
    linked = {it.issuer for it in visit.context.engine.identities.of_user(visit.user)}
    providers = visit.context.settings.oauth
    return [it for it in providers if it.enabled and it.identity_issuer not in linked]


def unlink(visit: Visit) -> Response:
    """Unlinks the identity that the form names."""
    context, id = visit.context, visit.form.get("identity", "")
    check_recent_login(visit.principal, context.engine.sessions.now())
    found = next((it for it in context.engine.identities.of_user(visit.user) if it.id == id), None)
    providers = provider_names(context, found.issuer) if found is not None else ()
    context.engine.identities.unlink(
        visit.principal, visit.user, id, visit.address, providers=providers
    )
    return visit.redirect("/console/account", "Unlinked. That account signs in here no more.")


def change_profile(visit: Visit) -> Response:
    """Sets the e-mail address, which is unverified then, and the full name."""
    email = visit.form.get("email", "").strip()
    if email != visit.context.engine.accounts.profile(visit.user).email:
        check_recent_login(visit.principal, visit.context.engine.sessions.now())

    def changed(profile: Profile) -> Profile:
        verified = profile.email_verified and email == profile.email
        full_name = visit.form.get("full_name", "")
        return replace(profile, email=email, email_verified=verified, full_name=full_name)

    accounts = visit.context.engine.accounts
    accounts.change_profile(visit.principal, visit.user, changed, visit.address)
    return visit.redirect("/console/account", "Profile saved.")


async def change_password(visit: Visit) -> Response:
    """Sets the person's own password. Their other sessions end."""
    user, form = visit.user, visit.form
    if user.hash == NO_PASSWORD:
        raise BadRequest("This account has no password to change.")
    if form.get("new", "") != form.get("again", ""):
        raise BadRequest("The two new passwords differ.")
    old, new = form.get("old", ""), form.get("new", "")
    if not new:
        raise BadRequest("Type a new password.")
    check_persons_password(new, visit.context.settings.password_min_length)
    try:
        await replace_own_password(visit.request, visit.context, visit.principal, old, new)
    except BadRequest:
        raise BadRequest("The old password is wrong.") from None
    return await visit.context.run_in_thread(
        partial(
            visit.redirect,
            "/console/account",
            "Password set. Your other sessions have ended.",
        )
    )
