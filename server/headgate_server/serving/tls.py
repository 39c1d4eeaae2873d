"""The server's certificate, which can be renewed while it serves. Knows ssl."""

import ssl


class CertificateError(Exception):
    """Certificate or key cannot be used. One line: which file, and why."""


class Certificate:
    """The certificate chain in the PEM file *certificate*, and its private key in *key*, or in the
    same file. Raises CertificateError.

    `context` is what connections are made with: TLS 1.2 and newer.
    """

    def __init__(self, certificate: str, key: str = "") -> None:
        self._certificate = certificate
        self._key = key or certificate
        self.context = self._load(_context())

    def reload(self) -> None:
        """Reads both files again; new connections use them. Raises CertificateError, and then
        those that were in use stay.
        """
        self._load(_context())  # what fails half-way must not fail on the one in use
        self._load(self.context)

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        for path in (self._certificate, self._key):
            _check_readable(path)
        try:
            # An encrypted key must not stop the server with a question on the terminal.
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
        except ssl.SSLError as error:
            reason = (error.reason or "").replace("_", " ").lower()
            raise CertificateError(
                f"cannot use certificate {self._certificate} with key {self._key}:"
                f" {reason or 'certificate or key is missing, or no PEM'}"
            ) from None
        return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _check_readable(path: str) -> None:
    """ssl says that a file cannot be read, but not which."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from None
