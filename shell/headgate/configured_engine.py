"""Builds an engine that executes statements on the user store, without a server.

The engine keeps the rules of the server's configuration, for example its rules for passwords.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from headgate_engine import Engine, open_store
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


@contextmanager
def opened_engine(location: str, *, config: str | None) -> Iterator[Engine]:
    """Yields an engine on the store at the path or URL *location*, and closes the store.

    Its settings are those of the environment and of the file *config*. Raises StoreError, and
    ValueError, with a message of one line, if a setting is invalid.
    """
    settings = load_settings(config, store=location)
    with closing(open_store(settings.store_path, settings.store_options())) as store:
        yield build_engine(store, settings)
