"""Trusted proxies, and the client's address that they report. Pure functions."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNIX = "unix"


@lru_cache(16)
def parse_networks(networks: tuple[str, ...]) -> tuple[Network, ...]:
    """Returns *networks*, parsed. Raises ValueError for an invalid network."""
    return tuple(ipaddress.ip_network(one) for one in networks)


def is_trusted(networks: tuple[str, ...], address: str) -> bool:
    """Returns whether *address* is in one of *networks*, or is a unix socket's."""
    if address == UNIX:
        return True
    try:
        there = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(there in network for network in parse_networks(networks))


def client_address(
    networks: tuple[str, ...], peer: str, forwarded: Sequence[str], real_ip: str
) -> str:
    """Returns the client's address, as trusted proxies report it.

    It is *peer* if that is outside *networks*. Otherwise it is the last address outside *networks*
    in the `X-Forwarded-For` headers *forwarded*, or the first address if there is none. Without
    such headers it is *real_ip*, from `X-Real-IP`. For an invalid address it is that of the proxy
    that reported it.
    """
    if not networks or not is_trusted(networks, peer):
        return peer
    found = peer
    hops = ",".join(forwarded).split(",") if forwarded else [real_ip]
    for hop in reversed(hops):
        named = _address(hop)
        if not named:
            return found
        found = named
        if not is_trusted(networks, named):
            return found
    return found


def address_with_peer(address: str, peer: str) -> str:
    """Returns *address* for the audit, with *peer*, the proxy that reported it, if they differ."""
    return address if address == peer else f"{address} via {peer}"


def _address(text: str) -> str:
    """Returns *text* as an address, without a port, or "" if it is invalid."""
    text = text.strip(" \t")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if found.version == 6 else None
    return str(mapped or found)
