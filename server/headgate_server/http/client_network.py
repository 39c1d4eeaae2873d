"""Finds the network of a client: an IPv6 client may use every address of a /64 network."""

import ipaddress
from functools import lru_cache


@lru_cache(1024)
def network_of(address: str) -> str:
    """Returns an IPv4 *address* unchanged, and for an IPv6 *address* its /64 network.

    An IPv4-mapped IPv6 address becomes IPv4; a text that is no IP address is returned unchanged.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
