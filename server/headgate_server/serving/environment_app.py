"""The ASGI application for another ASGI server, with settings from environment variables."""

import os
import resource

from headgate_engine import StoreError
from headgate_server.application import Application
from headgate_server.config.loader import ConfigurationError
from headgate_server.serving.store_preparation import prepare_store
from headgate_server.telemetry import logging as logs
from headgate_server.validation.configuration import configure

CONFIG_VARIABLE = "HEADGATE_CONFIG"


def create_app() -> Application:
    """Returns the ASGI application, which starts at the ASGI lifespan event `startup`.

    The settings come from the environment, and from the configuration file that the variable
    HEADGATE_CONFIG names. Creates the user store if it never existed. An error ends the process
    with one line on standard error and status 1.

    The other server has its own settings of sockets, TLS, workers and timeouts. Each of its
    workers has a set-up token of its own.
    """
    # The memory holds passwords: no core dump may reach a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        configuration = configure({}, os.environ, os.environ.get(CONFIG_VARIABLE) or None)
        settings = configuration.settings
        logs.configure(settings.log_format, access=settings.log_enabled, timed=True)
        for text in (*configuration.notices, *configuration.warnings):
            logs.log_warning(text)
        settings, prepared = prepare_store(settings, os.environ)
        prepared.close()  # the other server may fork: each process opens the store itself
        return Application(settings)
    except (ConfigurationError, StoreError) as error:
        raise SystemExit(f"headgate: {error}") from None
