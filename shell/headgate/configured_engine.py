"""Builds an engine that executes statements on the SQLite file of users, without a server.

The engine keeps the rules of the server's configuration, for example its rules for passwords.
"""

import os

from headgate_engine import Engine, Passwords, SqliteStore, Store
from headgate_server import ConfigurationError, Settings, configure


def load_settings(config: str | None, *, store: str | None = None) -> Settings:
    """Returns the settings that `headgate serve` would use.

    *config* and *store* are the values of its flags `--config` and `--store`; None stands for an
    absent flag. Raises ValueError, with a message of one line, if a setting is invalid.
    """
    try:
        return configure({"store.path": store}, os.environ, config).settings
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def build_passwords(settings: Settings) -> Passwords:
    """Returns an object that hashes passwords by the rules of *settings*."""
    return Passwords(settings.bcrypt_cost, min_length=settings.password_min_length)


def build_engine(store: Store, settings: Settings) -> Engine:
    """Returns an engine on *store* that keeps the password rules of *settings*.

    The engine also rejects the removal of the last administrator if *settings* say so.
    """
    passwords = build_passwords(settings)
    keep_last_admin = settings.keep_last_admin and settings.auth_enabled
    return Engine(store, passwords, keep_last_admin=keep_last_admin)


def open_engine(store: SqliteStore, *, config: str | None) -> Engine:
    """Returns an engine on *store* with the settings of the environment and the file *config*.

    Raises ValueError, with a message of one line, if a setting is invalid.
    """
    return build_engine(store, load_settings(config))
