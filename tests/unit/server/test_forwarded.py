"""The header `Forwarded` (RFC 7239): its elements, and the client's address behind proxies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from headgate_server.http.forwarded import ForwardedHop, reversed_hops
from headgate_server.http.header_fields import Headers
from headgate_server.http.request import RELAYED_CLIENT, Request
from headgate_server.http.trusted_proxies import TrustedProxies, forwarded_client

NETWORKS = ("10.0.0.0/8", "::1/128")
PROXY = "10.0.0.1"
# Connection, values of `Forwarded`, the client's address and the protocol.
CASES = [
    (PROXY, ["for=203.0.113.7"], "203.0.113.7", ""),
    (PROXY, ["For=203.0.113.7;Proto=HTTPS"], "203.0.113.7", "https"),
    (PROXY, ['for="203.0.113.7:4711";by=10.0.0.1; proto=http'], "203.0.113.7", "http"),
    (PROXY, ['for="[2001:db8::1]:4711"'], "2001:db8::1", ""),
    (PROXY, ['for="[2001:db8::1]"'], "2001:db8::1", ""),
    (PROXY, ['for="\\203.0.113.7"'], "203.0.113.7", ""),
    (PROXY, ['host="a,for=6.6.6.6";for=203.0.113.7'], "203.0.113.7", ""),
    (PROXY, ['host="a\\",for=6.6.6.6";for=203.0.113.7'], "203.0.113.7", ""),
    (PROXY, ["for=198.51.100.9, for=203.0.113.7"], "203.0.113.7", ""),
    (PROXY, ["for=198.51.100.9", "for=203.0.113.7;proto=https, for=10.0.0.2;proto=http"]
     , "203.0.113.7", "https"),
    (PROXY, ["for=10.0.0.3, for=10.0.0.2"], "10.0.0.3", ""),
    ("unix", ["for=203.0.113.7"], "203.0.113.7", ""),
    # A hidden, unknown, invalid or missing address ends the search.
    (PROXY, ["for=_hidden;proto=https"], PROXY, ""),
    (PROXY, ["for=unknown"], PROXY, ""),
    (PROXY, ["for=203.0.113.7, for=unknown, for=10.0.0.2"], "10.0.0.2", ""),
    (PROXY, ["for=203.0.113.7, for=_a"], PROXY, ""),
    (PROXY, ["for=203.0.113.7, "], PROXY, ""),
    (PROXY, ["proto=https"], PROXY, ""),
    (PROXY, ["for=203.0.113.7;for=6.6.6.6"], PROXY, ""),
    (PROXY, ["for=203.0.113.7:4711"], PROXY, ""),
    (PROXY, ["for=[2001:db8::1]"], PROXY, ""),
    (PROXY, ['for="203.0.113.7'], PROXY, ""),
    (PROXY, ["for = 203.0.113.7"], PROXY, ""),
    (PROXY, ["203.0.113.7"], PROXY, ""),
    (PROXY, [""], PROXY, ""),
    (PROXY, [], PROXY, ""),
    # Headers of a client that is not a trusted proxy are ignored.
    ("192.0.2.1", ["for=203.0.113.7;proto=https"], "192.0.2.1", ""),
]  # fmt: skip


@pytest.mark.parametrize(("peer", "values", "address", "proto"), CASES)
def test_the_last_element_outside_the_networks_names_the_client(
    peer: str, values: list[str], address: str, proto: str
) -> None:
    assert forwarded_client(NETWORKS, peer, values) == ForwardedHop(address, proto)
    assert forwarded_client((), peer, values) == ForwardedHop(peer, "")


KINDS = ["forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-proto"]
TEXT = st.text('for=",;\\ [:]._unkow1236hps', max_size=60) | st.sampled_from(
    ['for=6.6.6.6;x="', "for=6.6.6.6", 'for="6.6.6.6', "6.6.6.6", "https", 'for=6.6.6.6,for="\\']
)
PEERS = st.sampled_from(["192.0.2.1", "2001:db8::9"])
FIELDS = st.lists(st.tuples(st.sampled_from(KINDS), TEXT), max_size=5)


def _headers(fields: list[tuple[str, str]]) -> Headers:
    return Headers([(name.encode(), value.encode("latin-1")) for name, value in fields])


@given(FIELDS, PEERS, st.booleans())
def test_without_a_trusted_peer_no_header_changes_the_address(
    fields: list[tuple[str, str]], peer: str, forwarded: bool
) -> None:
    proxies = TrustedProxies(NETWORKS, use_forwarded=forwarded)
    assert proxies.client_address(peer, _headers(fields)) == peer
    assert not proxies.is_https(peer, _headers(fields))


# What a proxy appends, by kind: each names the client 203.0.113.7, without TLS.
APPENDED = [
    ("forwarded", "for=203.0.113.7"),
    ("forwarded", 'for="203.0.113.7:4711";proto=http;by=_proxy'),
    ("forwarded", 'by="[::1]:80";for=203.0.113.7;host="a,\\"b;for=6.6.6.6"'),
    ("x-forwarded-for", "203.0.113.7"),
]


@given(FIELDS, st.sampled_from(APPENDED), TEXT, st.booleans())
def test_what_a_client_puts_in_front_never_wins_over_the_proxys_entry(
    fields: list[tuple[str, str]], appended: tuple[str, str], front: str, same_field: bool
) -> None:
    kind, entry = appended
    last = [(kind, f"{front}, {entry}")] if same_field else [(kind, front), (kind, entry)]
    headers = _headers([*fields, *last])
    proxies = TrustedProxies(NETWORKS, use_forwarded=kind == "forwarded")
    assert proxies.client_address(PROXY, headers) == "203.0.113.7"
    if kind == "forwarded":
        assert not proxies.is_https(PROXY, headers)


# The source in the PROXY header, the peer, header fields, the address, and whether TLS is reported.
X_FIELDS = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https")]
RELAYED = [
    (None, PROXY, X_FIELDS, "203.0.113.7", True),
    (None, "192.0.2.1", X_FIELDS, "192.0.2.1", False),
    (None, PROXY, [("x-forwarded-proto", "https")], PROXY, False),
    ("198.51.100.9", PROXY, X_FIELDS, "198.51.100.9", False),
    ("10.0.0.9", PROXY, X_FIELDS, "203.0.113.7", True),
    ("", PROXY, X_FIELDS, PROXY, False),
]


@pytest.mark.parametrize(("source", "peer", "fields", "address", "https"), RELAYED)
def test_the_source_in_a_proxy_header_takes_the_place_of_the_peer(
    source: str | None, peer: str, fields: list[tuple[str, str]], address: str, https: bool
) -> None:
    scope = {
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": _headers(fields).fields,
        "client": (peer, 1),
        RELAYED_CLIENT: source,
    }
    request = Request(scope, _nothing, TrustedProxies(NETWORKS))
    assert (request.connection, request.address) == (peer, address)
    assert request.audit_address == (address if address == peer else f"{address} via {peer}")
    assert request.is_forwarded_https == https
    assert request.is_relayed == (source is not None)


async def _nothing() -> Message:
    raise AssertionError("the body is not read")


@given(st.lists(TEXT, max_size=4))
def test_every_text_has_hops(values: list[str]) -> None:
    assert len(list(reversed_hops(values))) <= sum(value.count(",") + 1 for value in values)


@pytest.mark.slow
def test_a_header_of_many_elements_and_quotes_is_read() -> None:
    for text in ('"' * 200_000, '\\"' * 100_000, "for=10.0.0.2," * 15_000, "," * 200_000):
        assert forwarded_client(NETWORKS, PROXY, [text]).node in (PROXY, "10.0.0.2")
