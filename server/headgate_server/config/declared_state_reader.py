"""Reads declared users, grants and databases from tables: those of a TOML or YAML file, or JSON."""

from collections.abc import Callable, Mapping
from typing import Any

from headgate_engine import (
    DeclaredDatabase,
    DeclaredState,
    DeclaredUser,
    RetentionPolicy,
    StatementError,
    retention_policy,
)
from headgate_grammar import PolicyOptions, Privilege, parse_duration
from headgate_server.config.nearest_name import suggestion

PRIVILEGES = {
    "READ": Privilege.READ,
    "WRITE": Privilege.WRITE,
    "ALL": Privilege.ALL,
    "NONE": Privilege.NONE,
}
_SYNONYMS = {"ALL PRIVILEGES": "ALL", "NO PRIVILEGES": "NONE"}
_POLICY_KEYS = ("duration", "replication", "shard-duration", "future-limit", "past-limit")

# Returns the password in a file. Its second argument names the place of the file's name in errors.
ReadFile = Callable[[str, str], str]


def read_declared_state(found: Any, read_file: ReadFile | None = None) -> DeclaredState:
    """Returns the users and databases in *found*, a table with `databases` and `users`.

    With *read_file*, the key `password-file` of a user names a file with the password. Without it,
    the key `password` has the password. Raises ValueError, with one line that names the key.
    """
    table = _table(found, "the file", ("databases", "users"))
    databases = users = None
    if "databases" in table:
        named = _named_tables(table["databases"], "databases")
        databases = [_database(name, value) for name, value in named.items()]
    if "users" in table:
        named = _named_tables(table["users"], "users")
        users = [_user(name, value, read_file) for name, value in named.items()]
    return DeclaredState(databases, users)


def _named_tables(value: Any, key: str) -> Mapping[str, Any]:
    """Returns *value*, tables by name. A list of names stands for empty tables, None for none."""
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return dict.fromkeys(value, {})
    if not isinstance(value, dict):
        raise ValueError(f"{key}: expected a table of names, or a list of names")
    return {_name(name, key): its for name, its in value.items()}


def _name(value: Any, place: str) -> str:
    """Returns the name *value*. Raises ValueError if YAML reads it as something else."""
    if not isinstance(value, str):
        raise ValueError(f"{place}: {value} is no text: put the name in quotes")
    return value


def _table(value: Any, place: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    """Returns *value*, a table with no other keys than *known*. None stands for an empty table."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{place}: expected a table")
    for key in value:
        if key not in known:
            raise ValueError(f"{place}: unknown key {key}{suggestion(str(key), known)}")
    return value


def _database(name: str, value: Any) -> DeclaredDatabase:
    place = f"databases.{name}"
    table = _table(value, place, ("name", "policies", *_POLICY_KEYS))
    others = _named_tables(table.get("policies"), f"{place}.policies")
    policies = tuple(
        _policy(other, _table(its, f"{place}.policies.{other}", _POLICY_KEYS), place)
        for other, its in others.items()
    )
    default = None
    if table.keys() - {"policies"}:
        default = _policy(_text(table.get("name", ""), f"{place}.name"), table, place)
    return DeclaredDatabase(name, default, policies)


def _policy(name: str, table: Mapping[str, Any], place: str) -> RetentionPolicy:
    """Returns the retention policy that *table* describes; "" is the name of the default."""
    replication = table.get("replication")
    if replication is not None and (type(replication) is not int or replication < 1):
        raise ValueError(f"{place}.replication: expected a number from 1 up")
    options = PolicyOptions(
        _duration(table, "duration", place),
        replication,
        _duration(table, "shard-duration", place) or 0,
        name,
        _duration(table, "future-limit", place) or 0,
        _duration(table, "past-limit", place) or 0,
    )
    try:
        return retention_policy(options)
    except StatementError as error:
        raise ValueError(f"{place}: {error}") from None


def _duration(table: Mapping[str, Any], key: str, place: str) -> int | None:
    """Returns the duration under *key* in nanoseconds, 0 for `INF`, or None without the key."""
    if key not in table:
        return None
    text = table[key]
    try:
        return 0 if str(text).upper() == "INF" else parse_duration(_text(text, key))
    except ValueError:
        raise ValueError(f"{place}.{key}: expected a duration such as 2w, or INF") from None


def _user(name: str, value: Any, read_file: ReadFile | None) -> DeclaredUser:
    place = f"users.{name}"
    if isinstance(value, dict) and "password" in value and read_file is not None:
        raise ValueError(f"{place}.password: a password stands in a file: use password-file")
    key = "password" if read_file is None else "password-file"
    table = _table(value, place, ("admin", "grants", key, "password-hash"))
    admin = table.get("admin")
    if admin is not None and not isinstance(admin, bool):
        raise ValueError(f"{place}.admin: expected true or false")
    if key in table and "password-hash" in table:
        raise ValueError(f"{place}: expected {key} or password-hash, not both")
    password = hash = None
    if key in table:
        password = _text(table[key], f"{place}.{key}")
        if read_file is not None:
            password = read_file(password, f"{place}.{key}")
    if "password-hash" in table:
        hash = _text(table["password-hash"], f"{place}.password-hash")
    grants = None
    if "grants" in table:
        if not isinstance(table["grants"], dict):
            raise ValueError(f"{place}.grants: expected a table of databases and privileges")
        grants = {
            _name(database, f"{place}.grants"): _privilege(privilege, f"{place}.grants.{database}")
            for database, privilege in table["grants"].items()
        }
    return DeclaredUser(name, password, hash, admin, grants)


def _privilege(value: Any, place: str) -> Privilege:
    words = " ".join(value.upper().split()) if isinstance(value, str) else ""
    privilege = PRIVILEGES.get(_SYNONYMS.get(words, words))
    if privilege is None:
        raise ValueError(f"{place}: expected READ, WRITE, ALL or NONE")
    return privilege


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{place}: expected a text")
    return value
