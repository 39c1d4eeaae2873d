"""The network of an IP address: one client may use every address in an IPv6 /64 network."""

import ipaddress
from functools import lru_cache


@lru_cache(1024)
def network_of(address: str) -> str:
    """Returns *address*, or for IPv6 the /64 network that one client is assigned.

    An IPv4-mapped IPv6 address becomes IPv4; a text that is no IP address is returned unchanged.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
