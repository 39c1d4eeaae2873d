"""An engine on a store file with the server's configuration, for commands that need no server."""

import os

from headgate_engine import Engine, Passwords, SqliteStore
from headgate_server import ConfigurationError, Settings, configure


def settings_of(config: str | None, *, store: str | None = None) -> Settings:
    """The settings that `headgate serve` would have, with the flags --config and --store.

    Raises ValueError if one is wrong: one line.
    """
    try:
        return configure({"store.path": store}, os.environ, config).settings
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def engine_on(store: SqliteStore, settings: Settings) -> Engine:
    """An engine that hashes and rejects passwords as `headgate serve` with *settings* does."""
    passwords = Passwords(settings.bcrypt_cost, least=settings.password_min_length)
    keep_last_admin = settings.keep_last_admin and settings.auth_enabled
    return Engine(store, passwords, keep_last_admin=keep_last_admin)


def open_engine(store: SqliteStore, *, config: str | None) -> Engine:
    """The same with the settings of the environment and the file *config*. Raises ValueError."""
    return engine_on(store, settings_of(config))
