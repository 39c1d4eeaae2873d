"""Headgate's HTTP server, and its gateway to upstream stores.

It uses the packages headgate_engine and headgate_grammar.
"""

from headgate_server.api.starlette_backend import HeadgateBackend, HeadgateUser
from headgate_server.app import application
from headgate_server.config.loader import Configuration, ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.serving import CertificateError, ListenError, serve
from headgate_server.validation.configuration import configure

__all__ = [
    "ListenError",
    "CertificateError",
    "Configuration",
    "ConfigurationError",
    "HeadgateBackend",
    "HeadgateUser",
    "Settings",
    "application",
    "configure",
    "serve",
]
