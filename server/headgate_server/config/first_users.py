"""Reads the first users and databases of a new user store from environment variables.

The names are Headgate's own, and those of InfluxDB's image for containers.
"""

import os
from collections.abc import Mapping

from headgate_engine import DeclaredDatabase, DeclaredState, DeclaredUser
from headgate_grammar import Privilege
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.nearest_name import suggestion
from headgate_server.config.text_file import read_text

# Each variable of an administrator, with the variable of the password.
_ADMINS = (
    ("HEADGATE_ADMIN_USER", "HEADGATE_ADMIN_PASSWORD"),
    ("INFLUXDB_ADMIN_USER", "INFLUXDB_ADMIN_PASSWORD"),
)
_OWN_PREFIX = "HEADGATE_ADMIN_"
_DATABASE = "INFLUXDB_DB"
# Users of that database, with their privilege.
_USERS = (
    ("INFLUXDB_USER", "INFLUXDB_USER_PASSWORD", Privilege.ALL),
    ("INFLUXDB_READ_USER", "INFLUXDB_READ_USER_PASSWORD", Privilege.READ),
    ("INFLUXDB_WRITE_USER", "INFLUXDB_WRITE_USER_PASSWORD", Privilege.WRITE),
)


def read_first_users(environment: Mapping[str, str]) -> DeclaredState:
    """Returns the users and databases that *environment* declares for a store without users.

    A password is in the variable itself, or in the file that the variable with `_FILE` at the end
    names. Raises ConfigurationError if a password or the administrator is missing, or for an
    unknown variable of Headgate.
    """
    _check_names(environment)
    users = [
        DeclaredUser(environment[name], _password(environment, name, password), admin=True)
        for name, password in _ADMINS
        if environment.get(name)
    ]
    names = [environment[_DATABASE]] if environment.get(_DATABASE) else []
    for name, password, privilege in _USERS:
        if not environment.get(name):
            continue
        if not users:
            raise ConfigurationError(
                f"{name}: the first user must be an administrator: set HEADGATE_ADMIN_USER, too"
            )
        users.append(
            DeclaredUser(
                environment[name],
                _password(environment, name, password),
                admin=False,
                grants=dict.fromkeys(names, privilege),
            )
        )
    if len({user.name for user in users}) < len(users):
        raise ConfigurationError("two of the first users in the environment have the same name")
    return DeclaredState([DeclaredDatabase(name) for name in names], users)


def _check_names(environment: Mapping[str, str]) -> None:
    """Raises ConfigurationError for an unknown variable, or a password without its user."""
    for variable in environment:
        known = [name for pair in _ADMINS for name in (*pair, f"{pair[1]}_FILE")]
        if variable.startswith(_OWN_PREFIX) and variable not in known:
            raise ConfigurationError(f"{variable}: no such setting{suggestion(variable, known)}")
    for user, password in (*_ADMINS, *((user, password) for user, password, _ in _USERS)):
        for variable in (password, f"{password}_FILE"):
            if environment.get(variable) and not environment.get(user):
                raise ConfigurationError(f"{variable} is set without a user: set {user}, too")


def _password(environment: Mapping[str, str], user: str, variable: str) -> str:
    """Returns the password of the user in the variable *user*. Raises ConfigurationError."""
    file = environment.get(f"{variable}_FILE")
    if file:
        return read_password_file(file, f"{variable}_FILE")
    if environment.get(variable):
        return environment[variable]
    raise ConfigurationError(f"{user} is set without a password: set {variable}_FILE, too")


def read_password_file(path: str, setting: str) -> str:
    """Returns the first line of the file *path*. *setting* names the file's origin in errors.

    Raises ConfigurationError if the file cannot be read, or the line is empty.
    """
    try:
        password = read_text(path).partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "invalid UTF-8"
        raise ConfigurationError(f"{setting}: {path}: {reason}") from None
    if not password:
        raise ConfigurationError(f"{setting}: {path}: the first line is empty")
    return password
