"""Addresses of proxies, and the client's address as a trusted proxy names it. Pure functions."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNIX = "unix"


@lru_cache(16)
def parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    """Raises ValueError for what is no network."""
    return tuple(ipaddress.ip_network(one) for one in networks)


def trusts(networks: tuple[str, ...], address: str) -> bool:
    """Whether a connection from *address* comes from one of *networks*, or by a unix socket."""
    if address == UNIX:
        return True
    try:
        there = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(there in network for network in parsed(networks))


def client_address(
    networks: tuple[str, ...], connection: str, forwarded: Sequence[str], real: str
) -> str:
    """The client's address: the last hop in the `X-Forwarded-For` headers *forwarded* that is none
    of *networks*, or `X-Real-IP`, *real*, where there are no such headers.

    It is *connection* where that is no trusted proxy, or where a hop is no address.
    """
    if not networks or not trusts(networks, connection):
        return connection
    found = connection
    hops = ",".join(forwarded).split(",") if forwarded else [real]
    for hop in reversed(hops):
        named = _address(hop)
        if not named:
            return found
        found = named
        if not trusts(networks, named):
            return found
    return found


def via(address: str, connection: str) -> str:
    """*address* for the audit, with that of the *connection* by which it was told."""
    return address if address == connection else f"{address} via {connection}"


def _address(text: str) -> str:
    """*text* as an address, without a port; "" if it is none."""
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
