"""The client's address, from header fields of trusted proxies."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from headgate_server.config.settings import Settings
from headgate_server.http.forwarded import ForwardedHop, reversed_hops
from headgate_server.http.header_fields import Headers

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNIX = "unix"


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The *networks* of trusted proxies, and the kind of header fields that they set.

    If *use_forwarded* is set, only `Forwarded` (RFC 7239) counts. Otherwise only `X-Forwarded-For`,
    `X-Real-IP` and `X-Forwarded-Proto` count. The other kind is ignored: a proxy may pass on fields
    of that kind as the client wrote them.
    """

    networks: tuple[str, ...]
    use_forwarded: bool = False

    def client_address(self, peer: str, headers: Headers) -> str:
        """Returns the client's address of a request from *peer* with *headers*."""
        if self.use_forwarded:
            return self._forwarded(peer, headers).node
        forwarded = headers.getlist("x-forwarded-for")
        return client_address(self.networks, peer, forwarded, headers.get("x-real-ip"))

    def is_https(self, peer: str, headers: Headers) -> bool:
        """Returns whether a trusted proxy reports a client, and that the client used TLS."""
        if self.use_forwarded:
            return self._forwarded(peer, headers).proto == "https"
        reported = self.client_address(peer, headers) != peer
        return reported and headers.get("x-forwarded-proto").lower() == "https"

    def _forwarded(self, peer: str, headers: Headers) -> ForwardedHop:
        return forwarded_client(self.networks, peer, headers.getlist("forwarded"))


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
    hops = ",".join(forwarded).split(",") if forwarded else [real_ip]
    return _last_untrusted(networks, peer, reversed(hops))[0]


def forwarded_client(networks: tuple[str, ...], peer: str, values: Sequence[str]) -> ForwardedHop:
    """Returns the element of `Forwarded` that names the client, with the client's address.

    *values* are those of the header fields. The address is found by the rules of `client_address`.
    The name `unknown`, an obfuscated name and an invalid element end the search. If no address of
    the header counts, the result is *peer*, without a protocol.
    """
    if not networks or not is_trusted(networks, peer):
        return ForwardedHop(peer, "")
    hops: list[ForwardedHop] = []

    def nodes() -> Iterator[str]:
        for hop in reversed_hops(values):
            hops.append(hop)
            yield hop.node

    address, count = _last_untrusted(networks, peer, nodes())
    return ForwardedHop(address, hops[count - 1].proto if count else "")


def _last_untrusted(networks: tuple[str, ...], peer: str, nodes: Iterable[str]) -> tuple[str, int]:
    """Returns the first address in *nodes* that is outside *networks*, and its number, from 1.

    *nodes* has the last hop first. If an invalid address or the end comes before, returns the
    address before it, which is *peer*, with the number 0, if there is none.
    """
    found, count = peer, 0
    for node in nodes:
        named = _address(node)
        if not named:
            break
        found, count = named, count + 1
        if not is_trusted(networks, named):
            break
    return found, count


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


def trusted_proxies(settings: Settings) -> TrustedProxies | None:
    """Returns the proxies that *settings* trust, or None if there are none."""
    networks, kind = settings.trusted_proxies, settings.proxy_headers
    return TrustedProxies(networks, use_forwarded=kind == "forwarded") if networks else None
