"""Reads and writes a file that declares users, grants and databases. Uses PyYAML for YAML.

The file is TOML or YAML, with a table `databases` and a table `users`.
"""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import yaml

from headgate_engine import DeclaredDatabase, DeclaredState, DeclaredUser, RetentionPolicy
from headgate_grammar import format_duration
from headgate_server import ConfigurationError
from headgate_server.config.declared_state_reader import PRIVILEGES, read_declared_state
from headgate_server.config.first_users import read_password_file
from headgate_server.config.text_file import read_text

_PRIVILEGE_NAMES = {privilege: name for name, privilege in PRIVILEGES.items()}


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
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise ValueError(f"{path}: {place}{error.problem}") from None
    except (ValueError, yaml.YAMLError) as error:  # such as an impossible date
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None

    def read_password(name: str, place: str) -> str:
        return read_password_file(str(Path(path).parent / name), place)

    try:
        return read_declared_state(found, read_password)
    except (ValueError, ConfigurationError) as error:
        raise ValueError(f"{path}: {error}") from None


def format_state(state: DeclaredState, path: str) -> str:
    """Returns *state* as the text of a file with the name *path*, which `read_state` reads.

    Passwords that are no hashes are left out.
    """
    if is_yaml(path):
        tables = state_tables(state)
        for user in tables.get("users", {}).values():
            user.pop("password", None)
        # PyYAML writes some invisible characters, such as U+0085, as blanks unless it escapes all.
        printable = json.dumps(tables, ensure_ascii=False).isprintable()
        return yaml.safe_dump(tables, allow_unicode=printable, sort_keys=False)
    return _format_toml(state)


def state_tables(state: DeclaredState) -> dict[str, Any]:
    """Returns *state*, with its passwords, as tables that `read_declared_state` reads."""
    tables: dict[str, Any] = {}
    if state.databases is not None:
        tables["databases"] = {one.name: _database_table(one) for one in state.databases}
    if state.users is not None:
        tables["users"] = {one.name: _user_table(one) for one in state.users}
    return tables


def _database_table(database: DeclaredDatabase) -> dict[str, Any]:
    table: dict[str, Any] = {}
    default = database.policy
    if default is not None and default != RetentionPolicy():
        table = {"name": default.name, **_policy_table(default)}
    others = {
        one.name: _policy_table(one)
        for one in database.policies
        if default is None or one.name != default.name
    }
    return table | ({"policies": others} if others else {})


def _policy_table(policy: RetentionPolicy) -> dict[str, Any]:
    table: dict[str, Any] = {
        "duration": format_duration(policy.duration) if policy.duration else "INF",
        "replication": policy.replication,
        "shard-duration": format_duration(policy.shard_duration),
    }
    limits = {"future-limit": policy.future_limit, "past-limit": policy.past_limit}
    return table | {key: format_duration(span) for key, span in limits.items() if span}


def _user_table(user: DeclaredUser) -> dict[str, Any]:
    table: dict[str, Any] = {
        "admin": user.admin,
        "password": user.password,
        "password-hash": user.hash,
    }
    if user.grants is not None:
        table["grants"] = {name: _PRIVILEGE_NAMES[it] for name, it in user.grants.items()}
    return {key: value for key, value in table.items() if value is not None}


def _format_toml(state: DeclaredState) -> str:
    lines = ["# Users, grants and databases, for `headgate apply`."]
    tables = state_tables(state)
    lines += [f"{kind} = []" for kind, named in tables.items() if not named]
    for kind, named in tables.items():
        for name, table in named.items():
            place = f"{kind}.{_quoted(name)}"
            lines += ["", f"[{place}]", *_toml_lines(table)]
            for other, policy in table.get("policies", {}).items():
                lines += ["", f"[{place}.policies.{_quoted(other)}]", *_toml_lines(policy)]
    return "\n".join(lines) + "\n"


def _toml_lines(table: dict[str, Any]) -> list[str]:
    """Returns a line for each key of *table*, except for passwords and tables of policies."""
    return [
        f"{key} = {_toml_value(value)}"
        for key, value in table.items()
        if key not in ("password", "policies")
    ]


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_quoted(key)} = {_quoted(it)}' for key, it in value.items())}}}"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    """Returns *text* as a string of TOML: a JSON string in which DEL is escaped, too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
