"""The HTTP server on uvicorn: sockets, TLS, client connections, and worker processes."""

from headgate_server.serving.listeners import ListenError
from headgate_server.serving.run import serve
from headgate_server.serving.startup_checks import problems, warnings
from headgate_server.serving.tls import CertificateError

__all__ = ["ListenError", "CertificateError", "problems", "serve", "warnings"]
