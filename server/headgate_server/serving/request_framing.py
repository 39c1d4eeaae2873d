"""Rejects requests that two HTTP parsers may read in two ways (request smuggling).

httptools checks lengths and chunks. This file has the checks of `Host` and `Transfer-Encoding` that
RFC 9112, sections 3.2 and 6.1, requires too.
"""

import re
from collections.abc import Sequence

# RFC 9110, section 7.2: uri-host [ ":" port ], by the characters that RFC 3986 allows.
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_VERSIONS = ("1.0", "1.1")


def framing_error_status(version: str, hosts: Sequence[bytes], codings: Sequence[bytes]) -> int:
    """Returns the status that rejects a request, or 0 for a valid request.

    *version* is the HTTP version of the request. *hosts* are the values of its headers `Host`,
    *codings* the values of its headers `Transfer-Encoding`.
    """
    if version not in _VERSIONS:
        return 400
    if len(hosts) > 1 or (version == "1.1" and not hosts):
        return 400
    if hosts and not _is_host(hosts[0]):
        return 400
    if not codings:
        return 0
    # HTTP/1.0 has no chunks: a proxy may have read the body differently.
    if version == "1.0" or len(codings) > 1:
        return 400
    named = [coding.strip(b" \t").lower() for coding in codings[0].split(b",")]
    if named == [b"chunked"]:
        return 0
    return 501 if named[-1] == b"chunked" and named.count(b"chunked") == 1 else 400


def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None
