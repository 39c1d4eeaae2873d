"""The network that an address belongs to, as far as one client can choose its address."""

import ipaddress
from functools import lru_cache


@lru_cache(1024)
def network_of(address: str) -> str:
    """Returns the address, or of IPv6 the /64 network that one client is given."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
