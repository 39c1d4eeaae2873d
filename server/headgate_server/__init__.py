"""Headgate's HTTP server, and its gateway to upstream stores.

It uses the packages headgate_engine and headgate_grammar. `headgate_server.app` is an ASGI
application by the settings of the environment, for any ASGI server:

    uvicorn headgate_server:app
"""

from typing import TYPE_CHECKING

from headgate_server.api.starlette_backend import HeadgateBackend, HeadgateUser
from headgate_server.application import Application
from headgate_server.config.loader import Configuration, ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.serving import CertificateError, ListenError, serve
from headgate_server.validation.configuration import configure

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    app: ASGIApp

__all__ = [
    "Application",
    "ListenError",
    "CertificateError",
    "Configuration",
    "ConfigurationError",
    "HeadgateBackend",
    "HeadgateUser",
    "Settings",
    "app",
    "configure",
    "serve",
]


def __getattr__(name: str) -> "ASGIApp":
    """Returns the ASGI application `app`, which is created when it is used first."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headgate_server.serving.environment_app import create_app

    globals()["app"] = created = create_app()
    return created
