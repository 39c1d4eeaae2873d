"""Reads the values of options of `[gateway]`: addresses, networks, tables.

Each function raises ValueError for an invalid value.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from headgate_server.config.route import COMPONENTS
from headgate_server.config.values import integer, text, texts

_LABEL_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPECTED_ADDRESSES = "expected addresses such as http://host:8086"


def read_urls(value: Any) -> tuple[str, ...]:
    """Returns the addresses in *value*, which is a list or one string.

    The scheme becomes lower case, and a final slash is removed.
    """
    urls = texts(value)
    for url in urls:
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and parts.port != 0
        except ValueError:  # an invalid port, or unbalanced brackets
            raise ValueError(_EXPECTED_ADDRESSES) from None
        if not valid or not parts.hostname:
            raise ValueError(_EXPECTED_ADDRESSES)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address has no login, query or fragment: see username, token")
    return tuple(urlsplit(url).geturl().rstrip("/") for url in urls)


def read_components(value: Any) -> Mapping[str, tuple[str, ...]]:
    """Returns the addresses of each component in the table *value*. `rules` means `ruler`."""
    given = {"ruler" if key == "rules" else key: urls for key, urls in _table(value).items()}
    for key in given:
        if key not in COMPONENTS:
            raise ValueError(f"{key}: expected one of {', '.join(COMPONENTS)}")
    return {key: read_urls(urls) for key, urls in given.items()}


def read_networks(value: Any) -> tuple[str, ...]:
    """Returns the networks in *value*, such as `10.0.0.0/8`."""
    networks = texts(value)
    for one in networks:
        try:
            ip_network(one)
        except ValueError:
            raise ValueError(f"{one!r}: expected networks such as 10.0.0.0/8") from None
    return networks


def read_mapping(value: Any) -> Mapping[str, str]:
    """Returns *value* if it is a table of strings."""
    if not isinstance(value, dict):
        raise ValueError("expected a table of strings")
    return {key: text(content) for key, content in value.items()}


def read_labels(value: Any) -> Mapping[str, Mapping[str, str]]:
    """Returns *value* if it is a table of labels by database, such as `{shop = {team = "x"}}`."""
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise ValueError('expected a table of labels by database: shop = {team = "shop"}')
    for database, labels in value.items():
        if not labels:
            raise ValueError(f"{database}: expected a label")
        if not all(isinstance(content, str) for content in labels.values()):
            raise ValueError(f"{database}: expected a table of strings")
        check_labels(labels)
    return value


def check_labels(names: Iterable[str]) -> None:
    """Raises ValueError for a name that is no label of Prometheus, and for `__name__`."""
    for name in names:
        if _LABEL_PATTERN.fullmatch(name) is None or name == "__name__":
            raise ValueError(f"{name}: expected the name of a label")


def read_versions(value: Any) -> Mapping[str, int]:
    """Returns *value* if it is a table of integers of 0 or more."""
    if not isinstance(value, dict):
        raise ValueError("expected a table of whole numbers")
    versions = {key: integer(content) for key, content in value.items()}
    if any(version < 0 for version in versions.values()):
        raise ValueError("expected a table of whole numbers")
    return versions


def read_secrets(value: Any) -> tuple[str, ...]:
    """Returns the secrets in *value*, a string with one secret on each line."""
    return tuple(one for line in text(value).split("\n") if (one := line.strip(" \t\r")))


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected a table")
    return {key.replace("_", "-"): content for key, content in value.items()}
