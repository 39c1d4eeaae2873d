"""Links an identity to a user: by the name, by a verified e-mail address, or to a new user."""

from dataclasses import dataclass, replace
from typing import Literal

from headgate_engine.errors import (
    AuthenticationFailed,
    BadProfile,
    IdentityTaken,
    SignUpDisabled,
)
from headgate_engine.model.profile import Profile, check_email, check_full_name
from headgate_engine.model.token_rights import TokenRights
from headgate_engine.model.user import NO_PASSWORD, Identity, User, check_username
from headgate_engine.stores.base import Tx
from headgate_grammar import Privilege

LinkPolicy = Literal["none", "non_admin", "any"]
Role = Literal["admins", "writers", "readers"]


def role_of(user: User) -> Role:
    """Returns the role of *user* by the rights that the user has now."""
    if user.admin:
        return "admins"
    writes = any(Privilege.WRITE in privilege for privilege in user.grants.values())
    return "writers" if writes else "readers"


@dataclass(frozen=True, slots=True)
class ProvisioningPolicy:
    """Which changes of the user store a login with a token may make.

    - *sign_up*: whether to create a user if no user has the identity's name.
    - *link*: whether to link an existing user with the identity's name to the identity. `none`
      forbids it, `non_admin` allows it for users without the admin flag, `any` for all users. A
      user that already has an identity is never linked so.
    - *keep_last_admin*: the only administrator keeps the admin flag, whatever the token claims.
    - *protected*: users with one of these roles are never linked so. None protects administrators,
      unless *link* is `any`.
    - *by_email*: whether to link the only user with the identity's verified e-mail address.
    - *first_rights*: the rights of a new user if the login claims none; None: no rights.
    - *syncs_profile*: whether the verified address and the full name replace those of the user.
    """

    sign_up: bool = False
    link: LinkPolicy = "none"
    keep_last_admin: bool = True
    protected: frozenset[Role] | None = None
    by_email: bool = False
    first_rights: TokenRights | None = None
    syncs_profile: bool = False


def synced_profile(profile: Profile, identity: Identity) -> Profile:
    """Returns *profile* with the verified address and the full name of *identity*, if valid."""
    try:
        if identity.email and identity.email_verified:
            check_email(identity.email)
            profile = replace(profile, email=identity.email, email_verified=True)
    except BadProfile:
        pass  # the provider knows an address that no profile can have: the stored one stays
    try:
        check_full_name(identity.full_name)
    except BadProfile:
        return profile
    return replace(profile, full_name=identity.full_name or profile.full_name)


def link_or_create(tx: Tx, identity: Identity, policy: ProvisioningPolicy) -> tuple[User, bool]:
    """Links *identity* to an existing user or a new one. Returns the user, and whether it is new.

    Raises SignUpDisabled if *policy* forbids creating the user. Raises IdentityTaken if *policy*
    forbids linking the user with the identity's name, or if that user already has an identity.
    Raises what `check_username` raises for the name of a new user.
    """
    found = _user_by_email(tx, identity, policy)
    if found is not None:
        tx.link(found, identity.issuer, identity.subject)
        return found, False
    user = tx.user(identity.name)
    is_new = user is None
    if user is None:
        if not policy.sign_up:
            raise SignUpDisabled
        check_username(identity.name)
        tx.add_user(identity.name, NO_PASSWORD, False)
        user = tx.user(identity.name)
        assert user is not None
    elif not user.is_active:
        raise AuthenticationFailed
    elif tx.is_linked(user) or not _may_link(user, policy):
        raise IdentityTaken
    tx.link(user, identity.issuer, identity.subject)
    return user, is_new


def _may_link(user: User, policy: ProvisioningPolicy) -> bool:
    """Returns whether *policy* allows to link *user* by the name alone."""
    if policy.link == "none" or (user.admin and policy.link != "any"):
        return False
    return policy.protected is None or role_of(user) not in policy.protected


def _user_by_email(tx: Tx, identity: Identity, policy: ProvisioningPolicy) -> User | None:
    """Returns the only user with the verified address of *identity*, if *policy* may link it.

    Raises AuthenticationFailed if the user may not log in.
    """
    if not (policy.by_email and identity.email and identity.email_verified):
        return None
    found = tx.users_by_verified_email(identity.email)
    if len(found) != 1:
        return None
    (user,) = found
    protected = frozenset({"admins"}) if policy.protected is None else policy.protected
    if role_of(user) in protected:
        return None
    if any(one.issuer == identity.issuer for one in tx.identities(user)):
        return None
    if not user.is_active:
        raise AuthenticationFailed
    return user
