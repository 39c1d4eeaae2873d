"""The contract of `UpstreamAdapter`: what holds for each kind of upstream store.

A new kind is in `ADAPTERS`, and so in each test here.
"""

import json
import re
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_grammar import parse
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.config.route import Route, read_route
from headgate_server.gateway.route_table import load_route_table
from headgate_server.http.errors import BadRequest
from headgate_server.telemetry.tracing import NoTracing
from headgate_server.upstream.adapter import BodyHandling, ProxiedAPI
from headgate_server.upstream.adapters import ADAPTERS, check_upstream_settings
from headgate_server.upstream.tenant_store import TenantStoreAdapter
from headgate_server.upstream.upstream import Upstream
from support.adapters import NoMetrics, adapter, run_inline

URL = "http://127.0.0.1:1"
KINDS = {protocol: UpstreamSettings("x", protocol, (URL,)) for protocol in ADAPTERS} | {
    "victoriametrics cluster": UpstreamSettings(
        "x",
        "victoriametrics",
        components={"insert": (URL,), "select": (URL,)},
        tenants={"a": "12:3", "b": "7"},
    )
}
TENANT_KINDS = {kind for kind, adapts in ADAPTERS.items() if issubclass(adapts, TenantStoreAdapter)}
USER_STATEMENTS = """CREATE USER u WITH PASSWORD 'x'; DROP USER u; SET PASSWORD FOR u = 'x';
    SHOW USERS; SHOW GRANTS FOR u; SHOW DATABASES; GRANT READ ON a TO u; GRANT ALL TO u;
    REVOKE READ ON a FROM u; REVOKE ALL FROM u"""
HOSTILE_STATEMENTS = r"""SELECT * FROM "a\"; DROP DATABASE b --"; SHOW TAG VALUES WITH KEY = "k;";
    DROP MEASUREMENT "m\n"; DELETE FROM m WHERE t =~ /a\/; DROP SERIES FROM m/"""


each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_a_kind_accepts_influxql_or_has_an_api_of_its_own(kind: str) -> None:
    subject = adapter(KINDS[kind])
    assert subject.influxql is not None or subject.proxied_api is not None
    assert subject.authorization_scheme in ("Bearer", "Token")
    assert subject.upstream.settings is KINDS[kind]


def test_the_kinds_with_an_api_are_those_with_a_route_table() -> None:
    folder = files("headgate_server.gateway") / "routes"
    tables = {file.name.removesuffix(".toml") for file in folder.iterdir()}
    proxied = {kind for kind in ADAPTERS if adapter(KINDS[kind]).proxied_api is not None}
    assert proxied == tables


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({"drop_data": True}, {"influxdb1", "victoriametrics"}),
        ({"overwrite_label": True}, {"victoriametrics"}),
        ({"max_labels": 40}, {"victoriametrics"}),
        ({"federation": True}, TENANT_KINDS),
        ({"tenant_name": "a"}, TENANT_KINDS),
        ({"tenants": {"a": "b"}}, TENANT_KINDS),
        ({"tenants": {"a": "1"}}, TENANT_KINDS | {"victoriametrics cluster"}),
        ({"tenants": {"a": "x/y"}}, set()),
        ({"routes": (Route(("GET",), ("/x",), "READ"),)},
         TENANT_KINDS | {"victoriametrics", "victoriametrics cluster"}),
        ({"components": {"querier": (URL,)}}, TENANT_KINDS),
        ({"components": {"select": (URL,)}}, {"victoriametrics", "victoriametrics cluster"}),
    ],
)  # fmt: skip
def test_an_option_that_the_kind_lacks_is_refused_by_its_name(
    options: dict[str, Any], kinds: set[str]
) -> None:
    for kind, settings in KINDS.items():
        changed = replace(settings, **options)
        if kind in kinds:
            check_upstream_settings(changed)
        else:
            message = refusal(changed)
            assert message, f"{kind} accepts {options}"
            assert next(iter(options)).replace("_", "-") in message and "\n" not in message


def refusal(settings: UpstreamSettings) -> str:
    """Returns why *settings* are refused, or ""."""
    try:
        check_upstream_settings(settings)
    except ValueError as error:
        return str(error)
    return ""


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="^protocol '.*': expected influxdb1, influxdb2, "):
        check_upstream_settings(UpstreamSettings("x", "mysql"))


# ---- InfluxQL


@each_kind
def test_statements_about_users_never_reach_a_store(kind: str) -> None:
    if (store := adapter(KINDS[kind]).influxql) is not None:
        statements = parse(USER_STATEMENTS)
        assert [one for one in statements if not store.is_local(one)] == []


@each_kind
def test_a_statement_is_printed_with_its_meaning(kind: str) -> None:
    if (store := adapter(KINDS[kind]).influxql) is not None:
        for statement in parse(HOSTILE_STATEMENTS):
            assert parse(store.verified_text(statement)) == (statement,)


# ---- the store's own HTTP API

NAMES = ("u", "p", "auth_token", "U", "db", "DB", "extra_label", "extra_filters",
         "extra_filters[]", "bucket", "query", "match[]", "format")  # fmt: skip
queries = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["a", "b", "db=b", "{x}", "1:db", ""])),
    max_size=6,
).map(urlencode)


def routes(settings: UpstreamSettings) -> list[tuple[Route, str]]:
    """Returns each route of the built-in table that needs READ or WRITE, with its paths."""
    table = load_route_table(settings)
    found = [(route, path) for path, those in table._exact.items() for route in those]
    found += [(route, path.replace("**", "x").replace("*", "x"))
              for _, path, route in table._patterns]  # fmt: skip
    return [pair for pair in found if pair[0].privilege in ("READ", "WRITE")]


def proxied() -> list[tuple[UpstreamSettings, ProxiedAPI]]:
    apis = [(settings, adapter(settings).proxied_api) for settings in KINDS.values()]
    return [(settings, api) for settings, api in apis if api is not None]


@pytest.mark.slow
@given(query=queries)
def test_a_target_is_confined_and_has_no_credentials(query: str) -> None:
    for settings, api in proxied():
        tenant = api.tenant(("a",))
        for route, path in routes(settings):
            target = api.upstream_target(route, path, query.encode(), ("a",), tenant)
            sent_path, _, sent_query = target.partition("?")
            pairs = parse_qsl(sent_query, keep_blank_values=True)
            names = [name.lower() for name, _ in pairs]
            assert not {"u", "p", "auth_token"} & set(names)
            if api.has_tenant_header:
                assert tenant == "a" and sent_path == path
            elif tenant:
                assert sent_path.startswith(f"/{route.component}/{tenant}/")
            else:
                assert [value for name, value in pairs if name == "extra_label"] == ["db=a"]
                assert names.count("extra_label") == names.count("db") == 1
                assert not {"extra_filters", "extra_filters[]"} & set(names)


def test_a_body_cannot_widen_a_request() -> None:
    for settings, api in proxied():
        tenant = api.tenant(("a",))
        for route, _ in routes(settings):
            handling = api.body_handling(route, tenant)
            sent_type = api.content_type(route, "application/x-www-form-urlencoded")
            if api.has_tenant_header:
                assert handling is BodyHandling.FORWARD
            elif route.privilege == "READ":
                assert handling is BodyHandling.REWRITE_FORM
                form = b"db=b&extra_label=db%3Db&extra_filters[]=x&query=up&p=secret"
                assert api.rewrite_form(form) == b"query=up"
            else:
                expected = BodyHandling.FORWARD if tenant else BodyHandling.REWRITE_LABELS
                assert handling is expected
                assert "form" not in sent_type
                assert "form" not in api.content_type(route, "")


def test_only_a_header_can_name_several_databases() -> None:
    for _, api in proxied():
        assert api.has_tenant_header or not api.serves_several_databases
        if api.serves_several_databases:
            assert api.tenant(("a", "b")) == "a|b"


@pytest.mark.parametrize("name", ["a|b", "..", "x/y", "a b", "", "é"])
def test_a_name_that_is_no_tenant_is_refused(name: str) -> None:
    for settings, api in proxied():
        if api.has_tenant_header or settings.components:
            with pytest.raises(BadRequest):
                api.tenant((name,))


def test_a_path_of_the_route_table_names_no_database() -> None:
    for settings, api in proxied():
        for _, path in routes(settings):
            assert api.split_databases(path, b"") == (path, [])


def test_the_path_of_a_cluster_names_a_database() -> None:
    for kind, database in (("victoriametrics cluster", "a"), ("victoriametrics", "12:3")):
        api = adapter(KINDS[kind]).proxied_api
        assert api is not None
        path = "/insert/12:3/influx/write"
        assert api.split_databases(path, b"db=b") == ("/influx/write", [database, "b"])


def test_the_adapter_of_the_architecture_page_works() -> None:
    page = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text("utf-8")
    section = page.partition("## A kind of upstream store")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", section, re.MULTILINE)
    code, table = [dedent(block) for block in blocks if block.strip()]
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    kind: type[TenantStoreAdapter] = namespace["TempoAdapter"]
    settings = UpstreamSettings("x", "tempo", (URL,))
    kind.check_settings(settings)
    api = kind(Upstream(settings, NoMetrics(), NoTracing()), run_inline).proxied_api
    assert api.has_tenant_header
    read, write = map(read_route, tomllib.loads(table)["route"])
    assert (read.privilege, write.privilege) == ("READ", "WRITE")
    assert api.upstream_target(read, "/x", b"q=1&p=x", ("a",), "a") == "/x?q=1"
    fixed = {"name": "intrinsic", "tags": ["duration"]}
    own = {"name": "resource", "tags": ["service.name"]}
    assert kind.labels(json.dumps({"scopes": [fixed]}).encode()) == []
    assert kind.labels(json.dumps({"scopes": [fixed, own]}).encode()) == [["service.name"]]
    assert kind.labels(b"<html>") == kind.labels(b'{"data": ["x"]}') == []
