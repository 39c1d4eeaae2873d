"""The client's address, from `X-Forwarded-For` or `X-Real-IP` of trusted proxies.

Pure functions.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNIX = "unix"


@lru_cache(16)
def parse_networks(networks: tuple[str, ...]) -> tuple[Network, ...]:
    """Parses *networks*, texts such as `10.0.0.0/8`. Raises ValueError for an invalid text."""
    return tuple(ipaddress.ip_network(one) for one in networks)


def is_trusted(networks: tuple[str, ...], address: str) -> bool:
    """Returns whether *address* is the address of a trusted proxy.

    A trusted proxy has an address in *networks*, or connects over a unix socket (`unix`).
    """
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

    *networks* are the networks of trusted proxies; *peer* is the other end of the connection.

    - If *networks* is empty or *peer* is no trusted proxy, returns *peer*.
    - With `X-Forwarded-For` headers, *forwarded*, returns the last address in them that is outside
      *networks*. If all these addresses are in *networks*, returns the first address.
    - Without these headers, returns *real_ip*, the value of `X-Real-IP`.

    An invalid address ends the search: returns the address of the proxy that reported it.
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
    """Returns *address* for the audit log, as `address via peer` if a proxy reported it.

    *peer* is the other end of the connection. If *peer* equals *address*, returns *address* alone.
    """
    return address if address == peer else f"{address} via {peer}"


def _address(text: str) -> str:
    """Returns the IP address in *text*, without a port, or "" if *text* is no IP address."""
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
