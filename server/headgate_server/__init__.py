"""HTTP: credentials in, answers out. Imports the engine and the grammar."""

from headgate_server.app import application
from headgate_server.backend import HeadgateBackend, HeadgateUser
from headgate_server.configuration import Configuration, ConfigurationError
from headgate_server.serving import CannotListen, CertificateError, serve
from headgate_server.settings import Settings
from headgate_server.validation import configure

__all__ = [
    "CannotListen",
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
