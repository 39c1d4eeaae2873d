"""How the pages write names, times, rights and clients."""

import time
from datetime import UTC, datetime

from markupsafe import Markup, escape

from headgate_engine import ApiKey, KeyScope, User, UserStatus
from headgate_grammar import Privilege, quote_identifier

_MAX_NAME_CHARS = 64
_STEPS = (
    (60, 1, "second"),
    (3600, 60, "minute"),
    (86_400, 3600, "hour"),
    (86_400 * 120, 86_400, "day"),
    (86_400 * 730, 86_400 * 30, "month"),
)
_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl", "Grafana", "python")
_SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")
_TITLES = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS", "python": "Python"}
_METHODS = {
    "password": "password",
    "jwt": "token",
    "session": "session",
    "key": "API key",
}


def visible(text: str) -> str:
    """Returns *text* with control characters and marks of direction as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 256 else f"\\u{{{number:x}}}"


def name(text: str) -> Markup:
    """Returns the name *text* as HTML: isolated from the text around, and cut if it is long."""
    shown = visible(text)
    if len(shown) <= _MAX_NAME_CHARS:
        return Markup(f"<bdi>{escape(shown)}</bdi>")  # noqa: S704
    cut = shown[: _MAX_NAME_CHARS - 1]
    return Markup(f'<bdi title="{escape(shown)}">{escape(cut)}…</bdi>')  # noqa: S704


def is_confirmed(typed: str, name: str) -> bool:
    """Returns whether *typed* is *name*, or *name* as a page shows it.

    A field of a form cannot hold each character of a name.
    """
    return typed == name or " ".join(typed.split()) == " ".join(visible(name).split()) != ""


def privilege(held: Privilege) -> str:
    """Returns the word for a privilege in a table; a dash for none."""
    if held is Privilege.ALL:
        return "ALL"
    return str(held) if held else "–"


def ago(seconds: int | None) -> Markup:
    """Returns the Unix time *seconds* in words, with the exact time; `never` for 0."""
    if not seconds:
        return Markup("never")
    moment = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        moment.strftime("%Y-%m-%d %H:%M:%S UTC"),
        distance(seconds - time.time()),
    )


def is_ahead(seconds: int) -> bool:
    """Returns whether the Unix time *seconds* is in the future."""
    return seconds > time.time()


def moment(text: str) -> Markup:
    """Returns the time *text* of an audit record, RFC 3339 in UTC, as date and time."""
    return Markup('<time datetime="{}">{}</time>').format(text, text[:19].replace("T", " "))


def distance(seconds: float) -> str:
    """Returns how far a time is from now, such as `5 minutes ago` or `in 3 days`."""
    span = abs(seconds)
    if span < 2:
        return "now"
    unit, word = next((it[1:] for it in _STEPS if span < it[0]), (86_400 * 365, "year"))
    number = max(1, round(span / unit))
    words = f"{number} {word}{'' if number == 1 else 's'}"
    return f"{words} ago" if seconds < 0 else f"in {words}"


def count(number: int, word: str) -> str:
    """Returns *number* with *word*, such as `1 user` or `2 users`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def client(agent: str) -> str:
    """Returns the program in a header `User-Agent` in words; `unknown program` without one."""
    browser = next((it for it in _BROWSERS if it in agent), "")
    system = next((it for it in _SYSTEMS if it in agent), "")
    words = [_TITLES.get(it, it) for it in (browser, system) if it]
    return " on ".join(words) or "unknown program"


def method(text: str) -> str:
    """Returns how a session began, in words."""
    return _METHODS.get(text, text)


def scope(found: KeyScope) -> Markup:
    """Returns the scope of a key in words."""
    if found.admin:
        return Markup("everything, as administrator")
    parts = [
        Markup("{} on {}").format(privilege(held), name(on)) for on, held in found.grants.items()
    ]
    if found.everywhere is Privilege.ALL and not parts:
        return Markup("everything that the owner may do")
    if found.everywhere:
        where = "other databases" if parts else "all databases"
        parts.append(Markup("{} on {}").format(privilege(found.everywhere), where))
    return Markup(", ").join(parts) or Markup("nothing")


def key_state(key: ApiKey) -> str:
    """Returns whether *key* is `active`, `expired`, or `expires soon`, within a week."""
    if not key.expires_at:
        return "active"
    left = key.expires_at - time.time()
    return "expired" if left <= 0 else "expires soon" if left < 7 * 86_400 else "active"


def status(user: User) -> str:
    """Returns the status of *user* in a word; "" for an active user."""
    return "" if user.status is UserStatus.ACTIVE else user.status.name.lower()


def quoted(text: str) -> str:
    """Returns the name *text* as InfluxQL has it."""
    return quote_identifier(text)


FILTERS = {
    "visible": lambda text: escape(visible(text)),
    "name": name,
    "privilege": privilege,
    "ago": ago,
    "is_ahead": is_ahead,
    "moment": moment,
    "count": count,
    "client": client,
    "method": method,
    "scope": scope,
    "key_state": key_state,
    "status": status,
    "quoted": quoted,
}
