"""The OTLP/HTTP collector of spans, as OpenTelemetry's variables configure it. Uses requests."""

import gzip
import math
import os
import re
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from headgate_server.telemetry.logging import log_info, log_warning

_TIMEOUT_SECONDS = 5.0
_ATTEMPTS = 4
# Only these may be sent again (OTLP 1.9, section "Failures").
_RETRIED_STATUSES = (429, 502, 503, 504)
_COMPRESSIONS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
_HEADER = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*([\x20-\x7e]*?)\s*")


@dataclass(frozen=True, slots=True, repr=False)
class CollectorOptions:
    """How to send spans. *verify* is a file with authorities, or True for the usual ones.

    *certificate* is the client's, with its key in a second file or in the same one.
    """

    headers: Mapping[str, str]
    compression: str
    timeout_seconds: float
    verify: bool | str
    certificate: str | tuple[str, str] | None


def collector_options() -> CollectorOptions:
    """Returns the options that the variables `OTEL_EXPORTER_OTLP_...` set.

    Raises ValueError, with the name of the variable and without its value, if one is invalid.
    """
    name, text = _variable("HEADERS")
    headers = {}
    for part in filter(str.strip, text.split(",")):
        found = _HEADER.fullmatch(part)
        if found is None or not (value := unquote(found[2])).isascii() or not value.isprintable():
            raise ValueError(f"{name}: expected NAME=VALUE, with %XX for special characters")
        headers[found[1]] = value
    name, compression = _variable("COMPRESSION")
    if compression not in ("", "none", *_COMPRESSIONS):
        raise ValueError(f"{name}: expected none, gzip or deflate")
    name, text = _variable("TIMEOUT")
    try:
        seconds = float(text or _TIMEOUT_SECONDS)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 3600:
        raise ValueError(f"{name}: expected seconds, more than 0 and at most 3600")
    authority, certificate, key = map(_file, ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"))
    if key and not certificate:
        raise ValueError(f"{_variable('CLIENT_KEY')[0]}: expected CLIENT_CERTIFICATE beside it")
    own = (certificate, key) if key else certificate or None
    return CollectorOptions(headers, compression, seconds, authority or True, own)


class SpanCollector:
    """The collector at *url*. A failure is logged once, until the collector works again."""

    def __init__(self, url: str, options: CollectorOptions) -> None:
        import requests  # on demand: only servers with a collector need it

        self._url, self._options = url, options
        self._compress = _COMPRESSIONS.get(options.compression)
        self._headers = {"Content-Type": "application/x-protobuf", **options.headers}
        if self._compress is not None:
            self._headers["Content-Encoding"] = options.compression
        self._session = requests.Session()
        self._failed = False
        self._ending = threading.Event()

    def stop_retrying(self) -> None:
        """Makes further failures final: the server ends."""
        self._ending.set()

    def send(self, body: bytes) -> None:
        """Sends *body*. Tries four times while the collector is away or busy. Blocking."""
        if self._compress is not None:
            body = self._compress(body)
        error = self._attempt(body)
        for attempt in range(_ATTEMPTS - 1):
            if error is None or error.is_final or self._ending.wait(2**attempt):
                break
            error = self._attempt(body)
        if error is None and self._failed:
            log_info("traces: the collector accepts spans again")
        elif error is not None and not self._failed:
            log_warning(
                f"traces: the collector of otlp-endpoint does not accept spans: {error.reason}"
            )
        self._failed = error is not None

    def _attempt(self, body: bytes) -> "_Refusal | None":
        """Returns None, or why the collector did not take *body*."""
        options = self._options
        try:
            # As arguments: a session's own `verify` and header would yield to the environment's.
            response = self._session.post(
                self._url,
                body,
                headers=self._headers,
                timeout=options.timeout_seconds,
                verify=options.verify,
                cert=options.certificate,
                auth=lambda request: request,  # none of .netrc
                allow_redirects=False,
            )
        # Also an OSError of a file, a ValueError of the URL. A text may have the URL's login.
        except Exception as error:
            return _Refusal(type(error).__name__)
        status = response.status_code
        if status < 300:
            return None
        return _Refusal(f"status {status}", is_final=status not in _RETRIED_STATUSES)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why the collector did not take a batch, and whether it may be sent again."""

    reason: str
    is_final: bool = False


def _variable(name: str) -> tuple[str, str]:
    """Returns the name and the value of OpenTelemetry's variable *name* for traces, or for all."""
    for prefix in ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"):
        if value := os.environ.get(prefix + name, "").strip():
            return prefix + name, value
    return "OTEL_EXPORTER_OTLP_" + name, ""


def _file(name: str) -> str:
    """Returns the path in the variable *name*, or "". Raises ValueError for an unreadable file."""
    variable, path = _variable(name)
    try:
        if path:
            open(path, "rb").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ValueError(f"{variable}: {reason}") from None
    return path
