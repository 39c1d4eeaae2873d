"""The pages of API keys: the list, a new key, and the text that is shown once."""

from collections.abc import Sequence

from starlette.responses import Response

from headgate_engine import GRACE_SECONDS, ApiKey, KeyScope, User, UserNotFound
from headgate_grammar import Privilege
from headgate_server.api.accounts.requests import is_id
from headgate_server.api.accounts.views import privilege_of
from headgate_server.console.pages.users import privileges
from headgate_server.console.visit import Visit
from headgate_server.http.errors import BadRequest

_DAY = 86_400
_LIFETIMES = {
    "hour": ("1 hour", 3600),
    "day": ("1 day", _DAY),
    "week": ("7 days", 7 * _DAY),
    "month": ("30 days", 30 * _DAY),
    "quarter": ("90 days", 90 * _DAY),
    "year": ("365 days", 365 * _DAY),
}
_GRACES = {"0": 0, "hour": 3600, "day": _DAY, "week": 7 * _DAY}
_MAX_DATABASES = 100
LIST = "/console/keys"


def show_list(visit: Visit) -> Response:
    """Shows keys: of all users for administrators, else the person's own."""
    user = _owner(visit) if visit.query.get("user") or not visit.is_admin else None
    size, after = visit.context.settings.console_page_size, visit.query.get("after", "")
    after = after if is_id(after) else ""
    keys = visit.context.engine.api_keys.keys(after, size + 1, owner=user)
    return visit.render(
        "keys.html",
        keys=keys[:size],
        ineffective=_ineffective(visit, keys[:size]),
        owner=user,
        next_after=keys[size - 1].id if len(keys) > size else "",
    )


def _ineffective(visit: Visit, keys: Sequence[ApiKey]) -> set[str]:
    """Returns the owners of *keys* that may not log in now, so that no key of theirs does."""
    owners = (visit.context.engine.user(name) for name in {key.owner for key in keys})
    return {owner.name for owner in owners if owner is not None and not owner.is_active}


def _owner(visit: Visit) -> User:
    """Returns the user that the form or the parameter `user` names, else the person.

    The form may have the id instead. Raises UserNotFound for an unknown user, and for others than
    the person's own unless they are an administrator.
    """
    id, name = visit.form.get("owner", ""), visit.form.get("user") or visit.query.get("user", "")
    if not id and (not name or (visit.principal.user is not None and name == visit.principal.name)):
        return visit.user
    user = None
    if visit.is_admin:
        user = visit.context.store.user_by_id(id) if is_id(id) else visit.context.engine.user(name)
    if user is None:
        raise UserNotFound
    return user


def show_new(visit: Visit) -> Response:
    """Shows the form of a new key."""
    owner = None
    if not visit.is_admin or visit.query.get("user") or visit.form.get("owner"):
        try:
            owner = _owner(visit)
        except UserNotFound:
            if not visit.error:
                raise
    longest = visit.context.engine.api_keys.limits.max_lifetime
    lifetimes = {
        value: words for value, (words, seconds) in _LIFETIMES.items() if not 0 <= longest < seconds
    }
    databases = visit.databases()
    return visit.render(
        "key_new.html",
        owner=owner,
        is_chosen=owner is not None and bool(visit.query.get("user") or visit.form.get("owner")),
        lifetimes=lifetimes,
        may_last=longest < 0,
        databases=databases[:_MAX_DATABASES],
        hidden=max(0, len(databases) - _MAX_DATABASES),
        privileges=[str(it) if it else "NONE" for it in privileges()],
        may_create=visit.is_admin or visit.context.settings.user_keys,
    )


def create(visit: Visit) -> Response:
    """Makes a key, and shows its text once."""
    if not (visit.is_admin or visit.context.settings.user_keys):
        raise BadRequest("Only administrators make keys here.")
    ends = visit.form.get("lifetime", "month")
    lifetime = None if ends == "none" else _LIFETIMES.get(ends, ("", 0))[1]
    if lifetime == 0:
        raise BadRequest("lifetime: choose one of the list")
    name = visit.form.get("name", "").strip()
    if not name:
        raise BadRequest("A key needs a name.")
    key, text = visit.context.engine.api_keys.create(
        visit.principal, _owner(visit), name, _scope(visit), visit.address, lifetime=lifetime
    )
    return _shown_once(visit, key, text, "Key made")


def _scope(visit: Visit) -> KeyScope:
    kind = visit.form.get("scope", "everything")
    chosen_grants = {
        database.name: chosen
        for database in visit.databases()
        if (chosen := privilege_of(visit.form.get(f"grant.{database.id}", "NONE"), database.name))
    }
    if kind != "chosen" and chosen_grants:
        raise BadRequest("You chose databases, but also another answer to what the key may do.")
    if kind == "admin":
        return KeyScope(admin=True)
    if kind in ("everything", "READ", "WRITE"):
        everywhere = Privilege.ALL if kind == "everything" else privilege_of(kind, "scope")
        return KeyScope(everywhere=everywhere)
    if not chosen_grants:
        raise BadRequest("Choose a privilege on one database at least.")
    return KeyScope(everywhere=Privilege.NONE, grants=chosen_grants)


def change(visit: Visit) -> Response:
    """Rotates or revokes the key in the path, or ends its previous text."""
    keys, action = visit.context.engine.api_keys, visit.form.get("action", "")
    key = keys.find(visit.path_id(), owner=None if visit.is_admin else visit.user)
    match action:
        case "rotate":
            grace = _GRACES.get(visit.form.get("grace", ""), GRACE_SECONDS)
            rotated, text = keys.rotate(visit.principal, key, visit.address, grace=grace)
            return _shown_once(visit, rotated, text, "Key rotated")
        case "end-previous":
            keys.end_previous(visit.principal, key, visit.address)
            return visit.redirect(LIST, "The previous text of the key has ended.")
        case "revoke":
            keys.revoke(visit.principal, key, visit.address)
            return visit.redirect(LIST, "Key revoked. The next request with it is refused.")
    raise BadRequest("action: expected rotate, end-previous or revoke")


def _shown_once(visit: Visit, key: ApiKey, text: str, heading: str) -> Response:
    names = [it.name for it in visit.databases()]
    owner = visit.context.engine.user(key.owner)
    held = key.scope.restrict(owner, names) if owner is not None else None
    scheme = "https" if visit.request.is_forwarded_https else "http"
    return visit.render(
        "key_made.html",
        key=key,
        text=text,
        heading=heading,
        server=f"{scheme}://{visit.request.headers.get('host', 'localhost:8086')}",
        database=next(iter(key.scope.grants), "DATABASE"),
        is_useless=held is None or not (held.admin or any(held.grants.values())),
    )
