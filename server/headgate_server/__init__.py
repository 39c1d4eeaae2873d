"""Headgate's HTTP server, and its gateway to upstream stores.

It uses the packages headgate_engine and headgate_grammar. A name is imported when it is used first:
`headgate serve --check` needs no HTTP server. `headgate_server.app` is an ASGI application for
any ASGI server. Its settings come from environment variables:

    uvicorn headgate_server:app
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headgate_server.api.starlette_backend import HeadgateBackend, HeadgateUser
    from headgate_server.application import Application
    from headgate_server.config.loader import Configuration, ConfigurationError
    from headgate_server.config.settings import Settings
    from headgate_server.configured_engine import build_engine, build_passwords
    from headgate_server.serving.listeners import ListenError
    from headgate_server.serving.run import serve
    from headgate_server.serving.tls import CertificateError
    from headgate_server.validation.configuration import configure

    app: Application

__all__ = [
    # `app` is missing: a star import would create it, and with it the user store.
    "Application",
    "CertificateError",
    "Configuration",
    "ConfigurationError",
    "HeadgateBackend",
    "HeadgateUser",
    "ListenError",
    "Settings",
    "build_engine",
    "build_passwords",
    "configure",
    "serve",
]

# The module of each name.
_MODULES = {
    "Application": "application",
    "ListenError": "serving.listeners",
    "CertificateError": "serving.tls",
    "Configuration": "config.loader",
    "ConfigurationError": "config.loader",
    "HeadgateBackend": "api.starlette_backend",
    "HeadgateUser": "api.starlette_backend",
    "Settings": "config.settings",
    "build_engine": "configured_engine",
    "build_passwords": "configured_engine",
    "configure": "validation.configuration",
    "serve": "serving.run",
}


def __getattr__(name: str) -> Any:
    """Returns the public object *name*, and imports it at its first use (PEP 562).

    `app` is created at its first use.
    """
    if name == "app":
        from headgate_server.serving.environment_app import create_app

        found: Any = create_app()
    elif name in _MODULES:
        found = getattr(import_module(f"headgate_server.{_MODULES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found
