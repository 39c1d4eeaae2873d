"""Decides by headers whether a page of another web site, or a local program, sent a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server.http.cross_site import (
    is_cross_site,
    is_dns_rebinding,
    is_local,
    is_origin,
    may_be_navigation,
    shows_no_browser,
)
from headgate_server.http.header_fields import Headers

ALLOWED = ("https://grafana.example", "http://h.example:3000/")


def headers(**fields: str) -> Headers:
    return Headers(
        [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    )


@pytest.mark.parametrize(
    ("fields", "crosses"),
    [
        ({}, False),
        ({"host": "h:8086"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": "same-origin", "origin": "http://h:8086", "host": "h:8086"}, False),
        ({"sec_fetch_site": "cross-site"}, True),
        ({"sec_fetch_site": "same-site"}, True),
        ({"sec_fetch_site": "cross-site", "origin": "https://grafana.example"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "https://GRAFANA.example"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://grafana.example"}, True),
        ({"sec_fetch_site": "cross-site", "origin": "https://grafana.example.evil"}, True),
        ({"origin": "http://h:8086", "host": "h:8086"}, False),
        ({"origin": "http://H:8086", "host": "h:8086"}, False),
        ({"origin": "https://h", "host": "h"}, False),
        ({"origin": "http://h.example:3000", "host": "h:8086"}, False),
        ({"origin": "http://h:8087", "host": "h:8086"}, True),
        ({"origin": "http://evil.example", "host": "h:8086"}, True),
        ({"origin": "null", "host": "h:8086"}, True),
        ({"origin": "http://[", "host": "h:8086"}, True),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "http://u:p@h:8086", "host": "h:8086"}, True),
        ({"referer": "http://h:8086/x", "host": "h:8086"}, False),
        ({"referer": "http://evil.example/x", "host": "h:8086"}, True),
        ({"referer": "http://evil.example/", "host": "h", "sec_fetch_site": "none"}, False),
    ],
)
def test_a_page_of_another_site_is_told_by_its_headers(
    fields: dict[str, str], crosses: bool
) -> None:
    assert is_cross_site(headers(**fields), ALLOWED) is crosses


@pytest.mark.parametrize(
    ("address", "fields", "local"),
    [
        ("127.0.0.1", {}, True),
        ("127.9.9.9", {}, True),
        ("::1", {}, True),
        ("unix", {}, True),
        ("192.0.2.1", {}, False),
        ("fe80::1%eth0", {}, False),
        ("", {}, False),
        ("127.0.0.1", {"x_forwarded_for": "192.0.2.1"}, False),
        ("127.0.0.1", {"forwarded": "for=192.0.2.1"}, False),
        ("127.0.0.1", {"x_real_ip": "192.0.2.1"}, False),
        ("127.0.0.1", {"via": "1.1 proxy"}, False),
        ("127.0.0.1", {"origin": "http://127.0.0.1:8086"}, False),
        ("127.0.0.1", {"sec_fetch_site": "none"}, False),
        ("unix", {"referer": "http://evil.example/"}, False),
        ("127.0.0.1", {"host": "127.0.0.1:8086"}, True),
        ("127.0.0.1", {"host": "localhost:8086"}, True),
        ("::1", {"host": "[::1]:8086"}, True),
        ("127.0.0.1", {"host": "rebind.evil.example:8086"}, False),
        ("127.0.0.1", {"user_agent": "curl/8"}, True),
        ("127.0.0.1", {"user_agent": "Mozilla/5.0 (X11)"}, False),
        ("127.0.0.1", {"accept": "text/html,*/*"}, False),
        ("127.0.0.1", {"upgrade_insecure_requests": "1"}, False),
        ("127.0.0.1", {"x_forwarded_proto": "https"}, False),
        ("127.0.0.1", {"cf_connecting_ip": "192.0.2.1"}, False),
        ("127.0.0.1", {"connection": "close"}, True),
        ("127.0.0.1", {"connection": "keep-alive"}, True),
    ],
)
def test_a_program_on_this_machine_is_no_proxy_and_no_browser(
    address: str, fields: dict[str, str], local: bool
) -> None:
    assert is_local(address, headers(**fields)) is local


@pytest.mark.parametrize(
    ("fields", "is_rebound"),
    [
        ({"host": "rebind.evil.example:8086"}, False),
        ({"host": "rebind.evil.example:8086", "sec_fetch_site": "same-origin"}, True),
        ({"host": "rebind.evil.example:8086", "origin": "http://rebind.evil.example:8086"}, True),
        ({"host": "127.0.0.1:8086", "sec_fetch_site": "same-origin"}, False),
        ({"host": "[::1]:8086", "sec_fetch_site": "same-origin"}, False),
        ({"host": "192.0.2.1", "sec_fetch_site": "same-origin"}, False),
        ({"host": "localhost:8086", "sec_fetch_site": "same-origin"}, False),
        ({"host": "grafana.example", "sec_fetch_site": "same-origin"}, False),
        ({"host": "h.example:3000", "sec_fetch_site": "same-origin"}, False),
        ({"host": "[", "sec_fetch_site": "same-origin"}, True),
    ],
)
def test_a_name_that_dns_may_point_here_is_not_trusted(
    fields: dict[str, str], is_rebound: bool
) -> None:
    assert is_dns_rebinding(headers(**fields), ALLOWED) is is_rebound


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("https://grafana.example", True),
        ("http://h:3000", True),
        ("http://h:3000/", True),
        ("http://[::1]:3000", True),
        ("grafana.example", False),
        ("*", False),
        ("https://", False),
        ("https://h/path", False),
        ("https://h?x", False),
        ("ftp://h", False),
        ("http://h:x", False),
        ("http://h:0", False),
        ("", False),
    ],
)
def test_an_origin_is_a_scheme_a_host_and_perhaps_a_port(text: str, sound: bool) -> None:
    assert is_origin(text) is sound


def test_a_proxy_that_speaks_http_1_0_is_no_program_on_this_machine() -> None:
    assert not is_local("127.0.0.1", headers(host="127.0.0.1:8086"), "1.0")


@pytest.mark.parametrize(
    ("method", "fields", "may_be"),
    [
        ("GET", {"user_agent": "Mozilla/5.0 (X11)"}, True),
        ("GET", {"accept": "text/html"}, True),
        ("GET", {"upgrade_insecure_requests": "1"}, True),
        ("GET", {"user_agent": "Mozilla/5.0", "sec_fetch_site": "same-origin"}, False),
        ("GET", {"user_agent": "Mozilla/5.0", "sec_fetch_site": "none"}, False),
        ("GET", {"user_agent": "curl/8", "accept": "*/*"}, False),
        ("GET", {}, False),
        ("POST", {"user_agent": "Mozilla/5.0 (X11)"}, False),
    ],
)
def test_a_link_of_another_site_is_taken_for_one(
    method: str, fields: dict[str, str], may_be: bool
) -> None:
    assert may_be_navigation(method, headers(**fields)) is may_be


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(
            ["host", "origin", "referer", "sec-fetch-site", "sec-fetch-mode", "user-agent"]
            + ["accept", "upgrade-insecure-requests", "x-other"]
        ).map(str.encode),
        st.sampled_from(
            ["", "*/*", "curl/8", "Mozilla/5.0", "text/html", "cross-site", "same-origin", "evil"]
            + ["http://evil", "http://evil/page", "evil.example:8086", "localhost"]
        ).map(str.encode),
    ),
    max_size=8,
)


@given(FIELDS, st.sampled_from(["GET", "POST"]))
def test_a_request_without_a_browsers_fields_passes_each_check_of_browsers(
    fields: list[tuple[bytes, bytes]], method: str
) -> None:
    headers = Headers(fields)
    if shows_no_browser(headers):
        assert not is_cross_site(headers)
        assert not may_be_navigation(method, headers)
        assert not is_dns_rebinding(headers)
