"""Reads and writes a file that declares users, grants and databases. Uses PyYAML for YAML.

The file is TOML or YAML, with a table `databases` and a table `users`.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from headgate_engine import (
    DeclaredDatabase,
    DeclaredState,
    DeclaredUser,
    RetentionPolicy,
    StatementError,
    retention_policy,
)
from headgate_grammar import PolicyOptions, Privilege, format_duration, parse_duration
from headgate_server import ConfigurationError
from headgate_server.config.first_users import read_password_file
from headgate_server.config.nearest_name import suggestion
from headgate_server.config.text_file import read_text

_PRIVILEGES = {
    "READ": Privilege.READ,
    "WRITE": Privilege.WRITE,
    "ALL": Privilege.ALL,
    "NONE": Privilege.NONE,
}
_SYNONYMS = {"ALL PRIVILEGES": "ALL", "NO PRIVILEGES": "NONE"}
_USER_KEYS = ("admin", "grants", "password-file", "password-hash")
_POLICY_KEYS = ("duration", "replication", "shard-duration")


class _Loader(yaml.SafeLoader):
    """Loads YAML as `yaml.safe_load` does. Rejects a repeated key, as TOML does, and aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Returns the next node. Raises yaml.YAMLError for an alias, which may repeat endlessly."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*) is unsupported: repeat the value")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Returns the mapping of *node*. Raises yaml.YAMLError for a repeated key."""
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: the key {key} is repeated")
        return dict(super().construct_mapping(node, deep))


def is_yaml(path: str) -> bool:
    """Returns whether the name of the file *path* says that it is YAML."""
    return path.endswith((".yaml", ".yml"))


def read_state(path: str) -> DeclaredState:
    """Returns the users and databases that the file *path* declares.

    The name of a YAML file ends with `.yaml` or `.yml`. The name of a password file is relative to
    the folder of *path*. Raises ValueError, with one line that names the file and the key.
    """
    try:
        text = read_text(path)
        # _Loader is a SafeLoader.
        found = yaml.load(text, _Loader) if is_yaml(path) else tomllib.loads(text)  # noqa: S506
    except OSError as error:
        raise ValueError(f"{path}: {os.strerror(error.errno or 0)}") from None
    except RecursionError:
        raise ValueError(f"{path}: tables are nested too deeply") from None
    except (ValueError, yaml.YAMLError) as error:  # such as an impossible date
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    try:
        table = _table(found, "the file", ("databases", "users"))
        databases = users = None
        if "databases" in table:
            named = _named_tables(table["databases"], "databases")
            databases = [_database(name, value) for name, value in named.items()]
        if "users" in table:
            named = _named_tables(table["users"], "users")
            users = [_user(name, value, Path(path).parent) for name, value in named.items()]
        return DeclaredState(databases, users)
    except (ValueError, ConfigurationError) as error:
        raise ValueError(f"{path}: {error}") from None


def format_state(state: DeclaredState, path: str) -> str:
    """Returns *state* as the text of a file with the name *path*, which `read_state` reads."""
    toml = _format_toml(state)
    if is_yaml(path):
        # PyYAML writes some invisible characters, such as U+0085, as blanks unless it escapes all.
        printable = toml.replace("\n", "").isprintable()
        return yaml.safe_dump(tomllib.loads(toml), allow_unicode=printable, sort_keys=False)
    return toml


def _format_toml(state: DeclaredState) -> str:
    lines = ["# Users, grants and databases, for `headgate apply`."]
    for database in state.databases or ():
        lines += ["", f"[databases.{_quoted(database.name)}]"]
        if (policy := database.policy) is not None and policy != RetentionPolicy():
            lines += [f"name = {_quoted(policy.name)}", *_policy_lines(policy)]
        for other in database.policies:
            if policy is None or other.name != policy.name:
                place = f"{_quoted(database.name)}.policies.{_quoted(other.name)}"
                lines += ["", f"[databases.{place}]", *_policy_lines(other)]
    for user in state.users or ():
        lines += ["", f"[users.{_quoted(user.name)}]"]
        if user.admin is not None:
            lines.append(f"admin = {str(user.admin).lower()}")
        if user.hash is not None:
            lines.append(f"password-hash = {_quoted(user.hash)}")
        if user.grants is not None:
            names = {privilege: name for name, privilege in _PRIVILEGES.items()}
            pairs = [f"{_quoted(one)} = {_quoted(names[it])}" for one, it in user.grants.items()]
            lines.append(f"grants = {{{', '.join(pairs)}}}")
    return "\n".join(lines) + "\n"


def _policy_lines(policy: RetentionPolicy) -> list[str]:
    return [
        f"duration = {_quoted(format_duration(policy.duration) if policy.duration else 'INF')}",
        f"replication = {policy.replication}",
        f"shard-duration = {_quoted(format_duration(policy.shard_duration))}",
    ]


def _quoted(text: str) -> str:
    """Returns *text* as a string of TOML: a JSON string in which DEL is escaped, too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


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


def _user(name: str, value: Any, folder: Path) -> DeclaredUser:
    place = f"users.{name}"
    if isinstance(value, dict) and "password" in value:
        raise ValueError(f"{place}.password: a password stands in a file: use password-file")
    table = _table(value, place, _USER_KEYS)
    admin = table.get("admin")
    if admin is not None and not isinstance(admin, bool):
        raise ValueError(f"{place}.admin: expected true or false")
    if "password-file" in table and "password-hash" in table:
        raise ValueError(f"{place}: expected password-file or password-hash, not both")
    password = hash = None
    if "password-file" in table:
        file = folder / _text(table["password-file"], f"{place}.password-file")
        password = read_password_file(str(file), f"{place}.password-file")
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
    privilege = _PRIVILEGES.get(_SYNONYMS.get(words, words))
    if privilege is None:
        raise ValueError(f"{place}: expected READ, WRITE, ALL or NONE")
    return privilege


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{place}: expected a text")
    return value
