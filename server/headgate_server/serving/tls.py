"""The server's TLS certificate, which can be renewed while the server runs."""

import ssl


class CertificateError(Exception):
    """The certificate or its key is unusable. The text is one line: the file and the reason."""


class Certificate:
    """The certificate chain in the PEM file *certificate*, with its private key.

    The private key is in the file *key*, or in the file *certificate* if *key* is "". `context` is
    for new connections, with TLS 1.2 or newer. Raises CertificateError.
    """

    def __init__(self, certificate: str, key: str = "") -> None:
        self._certificate = certificate
        self._key = key or certificate
        self.context = self._load(_context())

    def reload(self) -> None:
        """Reads both files again, for new connections.

        Raises CertificateError for unusable files: then the former certificate stays in use.
        """
        self._load(_context())  # a partial failure must not affect the context in use
        self._load(self.context)

    def ends_at(self) -> float:
        """Returns when the certificate in the file ends, in Unix seconds."""
        return certificate_end(self._certificate)

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Loads certificate and key into *context*, and returns it. Raises CertificateError."""
        for path in (self._certificate, self._key):
            _check_readable(path)
        try:
            # An encrypted key must not make the server wait for a passphrase on the terminal.
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
        except ssl.SSLError as error:
            reason = (error.reason or "").replace("_", " ").lower()
            raise CertificateError(
                f"cannot use certificate {self._certificate} with key {self._key}:"
                f" {reason or 'certificate or key is missing, or not PEM'}"
            ) from None
        return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _check_readable(path: str) -> None:
    """Raises CertificateError if the file *path* cannot be read.

    The error has the file's name, which errors of the module ssl lack.
    """
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from None


def certificate_end(path: str) -> float:
    """Returns when the first certificate in the PEM file *path* ends, in Unix seconds.

    Raises CertificateError.
    """
    # Imported on demand: a server without TLS needs no library for certificates.
    from cryptography.x509 import load_pem_x509_certificates

    try:
        with open(path, "rb") as file:
            first, *_ = load_pem_x509_certificates(file.read())
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise CertificateError(f"cannot read {path}: not a certificate in PEM") from None
    return first.not_valid_after_utc.timestamp()
