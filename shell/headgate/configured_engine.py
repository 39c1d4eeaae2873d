"""Builds an engine that executes statements on the SQLite file of users, without a server.

The engine keeps the rules of the server's configuration, for example its rules for passwords.
"""

import os

from headgate_engine import Engine, SqliteStore
from headgate_server import ConfigurationError, Settings, build_engine, configure


def load_settings(config: str | None, *, store: str | None = None) -> Settings:
    """Returns the settings that `headgate serve` would use.

    *config* and *store* are the values of its flags `--config` and `--store`; None stands for an
    absent flag. Raises ValueError, with a message of one line, if a setting is invalid.
    """
    try:
        return configure({"store.path": store}, os.environ, config).settings
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def open_engine(store: SqliteStore, *, config: str | None) -> Engine:
    """Returns an engine on *store* with the settings of the environment and the file *config*.

    Raises ValueError, with a message of one line, if a setting is invalid.
    """
    return build_engine(store, load_settings(config))
