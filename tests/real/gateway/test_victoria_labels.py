"""Databases by any labels in front of a real VictoriaMetrics that has data already."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from support.gateway_fixtures import configured, upstream
from support.programs_of_ours import run_headgate
from support.servers import ROOT, Server
from support.victoria_metrics import Victoria, needs_victoria
from support.waiting import poll_until

pytestmark = needs_victoria

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SHOP, OLD, NEW = ("shopper", "Shop-1"), ("older", "Old-1"), ("newer", "New-1")
USERS = "; ".join(
    f"CREATE DATABASE {database}; CREATE USER {name} WITH PASSWORD '{password}';"
    f"GRANT ALL ON {database} TO {name}"
    for database, (name, password) in (("shop", SHOP), ("old", OLD), ("new", NEW))
)
EXISTING = [
    "sales,team=shop,env=prod v=1",
    "sales,team=shop,env=test v=2",
    "sales,team=other,env=prod v=3",
    "plain v=4",
    "plain,tenant=new v=5",
]


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[Victoria]:
    with Victoria(tmp_path) as victoria:
        yield victoria


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path, victoria: Victoria) -> Server:
    """Returns a server with a database by the label `tenant`, and two by other labels."""
    victoria.request("POST", "/write", "\n".join(EXISTING).encode())
    poll_until(lambda: len(victoria.series()) == len(EXISTING), "not written")
    table = upstream("victoriametrics", urls=[victoria.url], label="tenant", drop_data=True)
    table += '[gateway.upstream.databases]\nshop = {team = "shop", env = "prod"}\n'
    table += 'old = {tenant = "", team = ""}\n'
    return configured(serve, tmp_path, table).bootstrap(USERS)


def has_series(victoria: Victoria, count: int) -> bool:
    return len(victoria.series()) == count


def seen(server: Server, login: tuple[str, str], database: str) -> list[dict[str, str]]:
    """Returns the labels of the series that a user sees in *database*, without the name."""
    path = f"/db/{database}/api/v1/series?match[]=%7B__name__!=%22%22%7D"
    data = server.request("GET", path, basic=login).json["data"]
    return sorted(data, key=lambda labels: json.dumps(labels, sort_keys=True))


def test_existing_data_is_readable_by_the_labels_of_its_database(server: Server) -> None:
    assert seen(server, SHOP, "shop") == [{"__name__": "sales_v", "team": "shop", "env": "prod"}]
    assert seen(server, OLD, "old") == [{"__name__": "plain_v"}]
    assert seen(server, NEW, "new") == [{"__name__": "plain_v", "tenant": "new"}]
    assert server.request("GET", "/db/shop/api/v1/labels", basic=OLD).status == 403
    # A user can name no other labels.
    path = "/db/new/api/v1/series?match[]=%7B__name__!=%22%22%7D"
    for more in ("extra_label=team=shop", "extra_filters[]=%7Bteam=%22shop%22%7D"):
        data = server.request("GET", f"{path}&{more}", basic=NEW).json["data"]
        assert data == [{"__name__": "plain_v", "tenant": "new"}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/write?db={}", b"m,tenant=new,team=x,env=y,db=1,exported_team=z v=1"),
        (
            "/db/{}/api/v1/import/prometheus",
            b'm_v{tenant="new",team="x",env="y",db="1",exported_team="z"} 1\n',
        ),
        (
            "/db/{}/api/v1/import/csv?format=1:label:tenant,2:label:team,3:label:env,4:label:db,"
            "5:label:exported_team,6:metric:m_v",
            b"new,x,y,1,z,1",
        ),
    ],
)
def test_writes_get_exactly_the_labels_of_their_database(
    server: Server, victoria: Victoria, path: str, body: bytes
) -> None:
    own = {
        **{"__name__": "m_v", "exported_tenant": "new", "exported_exported_team": "x"},
        **{"exported_env": "y", "db": "1", "exported_team": "z"},
    }
    for database, login, labels in (
        ("shop", SHOP, {"team": "shop", "env": "prod"}),
        ("old", OLD, {}),
        ("new", NEW, {"tenant": "new"}),
    ):
        before = len(victoria.series())
        answer = server.request("POST", path.format(database), body, basic=login)
        assert answer.status == 204, answer.body
        poll_until(partial(has_series, victoria, before + 1), "not written")
        assert own | labels in victoria.series()
    assert len(seen(server, NEW, "new")) == 2


def test_series_that_differ_only_in_the_label_db_stay_two(
    server: Server, victoria: Victoria
) -> None:
    lines = b"m,db=a v=1\nm,db=b v=2"
    assert server.request("POST", "/write?db=new", lines, basic=NEW).status == 204
    poll_until(lambda: len(victoria.series()) == len(EXISTING) + 2, "not written")
    assert [one.get("db") for one in seen(server, NEW, "new")] == ["a", "b", None]


def test_data_of_others_survives(server: Server, victoria: Victoria) -> None:
    for name in ("shop", "old"):
        assert server.query(f"DROP DATABASE {name}").error == (
            f"the configuration has the labels of database {name}: it cannot be dropped"
        )
    assert "set drop-foreign-data to delete it" in server.query("DROP DATABASE new").error
    assert len(victoria.series()) == len(EXISTING)
    assert sorted(server.query("SHOW DATABASES").rows()) == [["new"], ["old"], ["shop"]]
    assert not server.query("CREATE DATABASE mine").error
    assert server.request("POST", "/write?db=mine", b"m v=1", basic=ROOT).status == 204
    poll_until(lambda: len(victoria.series()) == len(EXISTING) + 1, "not written")
    assert not server.query("DROP DATABASE mine").error
    assert len(victoria.series()) == len(EXISTING)


def test_sync_lists_the_values_of_the_label_and_the_declared_databases(
    server: Server, tmp_path: Path, victoria: Victoria
) -> None:
    victoria.request("POST", "/write", b"plain,tenant=later v=6")
    poll_until(lambda: len(victoria.series()) == len(EXISTING) + 1, "not written")
    configuration = str(tmp_path / "headgate.toml")
    done = run_headgate("sync", "--config", configuration, "--store", str(server.store), check=True)
    assert "later" in done.stdout
    names = sorted(server.query("SHOW DATABASES").rows())
    assert names == [["later"], ["new"], ["old"], ["shop"]]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            'overwrite-label = true\ndatabases = {a = {x = "1"}}',
            "overwrite-label: expected no databases beside it",
        ),
        ('label = "a-b"', "a-b: expected the name of a label"),
        ('label = "__name__"', "__name__: expected the name of a label"),
        ("databases = {shop = {}}", "shop: expected a label"),
        ("databases = {shop = {team = 5}}", "shop: expected a table of strings"),
        (
            'databases = {a = {x = "1", y = "2"}, b = {y = "2", x = "1"}}',
            "databases: a and b have the same labels",
        ),
        ('databases = {shop = "team"}', "expected a table of labels by database"),
        ('databases = {shop = {"a b" = "x"}}', "a b: expected the name of a label"),
        ('label = "db"\ncomponents = {insert = ["http://a:1"]}', "label: victoriametrics has none"),
    ],
)
def test_invalid_labels_are_one_line(tmp_path: Path, options: str, reason: str) -> None:
    file = tmp_path / "headgate.toml"
    file.write_text(
        f'[[gateway.upstream]]\nprotocol = "victoriametrics"\nurls = ["http://a:1"]\n{options}\n'
    )
    done = run_headgate("serve", "--config", str(file), "--store", str(tmp_path / "s"), "--check")
    assert done.returncode == 1 and reason in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("metadata", {}),
        ("rules?type=alert", {"groups": []}),
        ("alerts", {"alerts": []}),
        ("query_exemplars?query=m&start=1&end=2", []),
        ("format_query?query=sum(m)%2F%22x%22", 'sum(m)/"x"'),
    ],
)
def test_grafana_learns_nothing_of_other_databases(server: Server, path: str, data: object) -> None:
    for method, body, headers in (
        ("GET", None, {}),
        ("POST", path.partition("?")[2].encode(), FORM),
    ):
        answer = server.request(method, f"/db/new/api/v1/{path}", body, headers, NEW)
        assert (answer.status, answer.json) == (200, {"status": "success", "data": data})
        assert server.request(method, f"/db/shop/api/v1/{path}", body, headers, NEW).status == 403
        assert server.request(method, f"/db/new/api/v1/{path}", body, headers).status == 401
