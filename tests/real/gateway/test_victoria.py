"""Users and grants in front of a real VictoriaMetrics, with a label as the database."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from support.gateway_fixtures import ANN, BOB, TWO, configured, upstream
from support.programs_of_ours import run_headgate
from support.recorder_upstream import recorder
from support.servers import ROOT, Answer, Server
from support.victoria_metrics import Victoria, needs_victoria
from support.waiting import poll_until


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[Victoria]:
    with Victoria(tmp_path) as victoria:
        yield victoria


@pytest.fixture
def server(serve: Callable[..., Server], victoria: Victoria, tmp_path: Path) -> Server:
    table = upstream("victoriametrics", urls=[victoria.url])
    return configured(serve, tmp_path, table).bootstrap(TWO)


def databases(victoria: Victoria) -> dict[str, set[str]]:
    """Returns the names of the metrics of each database."""
    found: dict[str, set[str]] = {}
    for labels in victoria.series():
        found.setdefault(labels.get("db", ""), set()).add(labels["__name__"])
    return found


def jsonl(name: str, db: str) -> bytes:
    metric = {"metric": {"__name__": name, "db": db}, "values": [1]}
    return json.dumps(metric | {"timestamps": [int(time.time() * 1000)]}).encode()


# Attempts to write to the database a as Bob, a user with privileges on b only.
WRITES: list[tuple[str, bytes]] = [
    ("/write?db=b", b"w0,db=a v=1"),
    ("/influx/write?db=b", b"w1,db=a v=1"),
    ("/influx/api/v2/write?bucket=b/x", b"w2,db=a v=1"),
    ("/api/v2/write?bucket=b/x", b"w3,db=a v=1"),
    ("/api/v1/import", jsonl("w4", "a")),
    ("/api/v1/import/prometheus", b'w5{db="a"} 1\n'),
    ("/api/v1/import/csv?format=1:label:db,2:metric:w6", b"a,1"),
    ("/write?db=b&extra_label=db=a", b"w7,db=a v=1"),
    ("/influx/write?db=b&extra_label=db=a", b"w8 v=1"),
    ("/api/v1/import/prometheus?extra_label=db%3Da&extra_label=db=a", b"w9 1\n"),
    ("/prometheus/api/v1/import/prometheus?Extra_Label=db=a", b"w10 1\n"),
    ("/api/v1/import/prometheus?db=b&extra_label=__name__=stolen", b"w11 1\n"),
    ("/influx/write?db=b", b"w12,db=a,db=a v=1"),
    ("/influx/write?db=b&x=1;extra_label=db=a", b"w13 v=1"),
]


@needs_victoria
def test_whatever_is_written_is_in_the_users_own_database(
    server: Server, victoria: Victoria
) -> None:
    for path, body in WRITES:
        answer = server.request("POST", path, body, basic=BOB)
        assert answer.status in (200, 204), (path, answer.body)
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
    assert (
        server.request(
            "POST", "/influx/write?db=b", gzip.compress(b"w20,db=a v=1"), packed, BOB
        ).status
        == 204
    )
    found = databases(victoria)
    assert set(found) == {"b"}
    assert len(found["b"]) == len(WRITES) + 1


@needs_victoria
def test_what_is_meant_for_another_is_refused(server: Server, victoria: Victoria) -> None:
    for path in (
        *("/write?db=a", "/influx/write?db=a", "/api/v2/write?bucket=a/x", "/db/a/write?db=a"),
        *("/db/a/influx/write", "/db/a/api/v1/import", "/api/v1/import?db=a"),
        *("/influx/write?db=a&db=b", "/influx/write?db=b&db=a", "/influx/write?%64b=a"),
        *("/api/v1/import/native", "/insert/a/influx/write"),
    ):
        assert server.request("POST", path, b"w v=1", basic=BOB).status in (400, 403, 404), path
    assert databases(victoria) == {}


def ask(server: Server, path: str, login: tuple[str, str], **fields: str) -> Answer:
    return server.request("GET", f"{path}?{urlencode(fields)}", basic=login)


@needs_victoria
def test_queries_show_ones_own_database_only(server: Server, victoria: Victoria) -> None:
    server.request("POST", "/write?db=a", b"secret,k=of_a v=1", basic=ANN)
    server.request("POST", "/write?db=b", b"own,k=of_b v=2", basic=BOB)
    assert databases(victoria) == {"a": {"secret_v"}, "b": {"own_v"}}
    everything = '{__name__!=""}'
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for extra in ("", "extra_label=db=a", 'extra_filters[]={db="a"}', 'extra_filters={db="a"}'):
        name, _, value = extra.partition("=")
        more = {name: value} if name else {}
        for path, fields in [
            ("/api/v1/query", {"query": everything}),
            ("/prometheus/api/v1/query_range", {"query": everything, "step": "15s"}),
            ("/api/v1/series", {"match[]": everything}),
            ("/api/v1/labels", {}),
            ("/api/v1/label/k/values", {}),
            ("/api/v1/label/db/values", {}),
            ("/api/v1/export", {"match[]": everything}),
            ("/api/v1/export/csv", {"match[]": everything, "format": "__name__,k,db,__value__"}),
            ("/federate", {"match[]": everything}),
            ("/api/v1/status/tsdb", {}),
        ]:
            answers = [ask(server, path, BOB, **fields, **more)]
            if "label/" not in path:
                body = urlencode({**fields, **more}).encode()
                answers.append(server.request("POST", path, body, form, BOB))
                answers.append(server.request("POST", path + "?db=b", body, form, BOB))
            for answer in answers:
                assert answer.status == 200, (path, answer.body)
                for word in (b"secret", b"of_a", b'"a"', b'db="a"'):
                    assert word not in answer.body, (path, extra, answer.body)
    shown = lambda: b"own" in ask(server, "/api/v1/query", BOB, query=everything).body  # noqa: E731
    poll_until(shown, "he does not see his own")
    multipart = b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nup\r\n--x--\r\n'
    sent = {"Content-Type": "multipart/form-data; boundary=x"}
    assert server.request("POST", "/api/v1/query", multipart, sent, BOB).status == 400


@needs_victoria
def test_what_cannot_be_confined_is_for_administrators(server: Server) -> None:
    for path in (
        *("/api/v1/status/top_queries", "/api/v1/status/active_queries", "/api/v1/series/count"),
        *("/api/v1/export/native?match[]=up", "/flags", "/internal/force_flush"),
    ):
        assert server.request("GET", path, basic=BOB).status == 403, path
        assert server.request("GET", path, basic=ROOT).status == 200, path
    for path in ("/graphite/render", "/vmui/", "/api/v1/targets", "/datadog/api/v1/series"):
        assert server.request("GET", path, basic=ROOT).status == 404, path


@needs_victoria
def test_influx_clients_find_what_they_look_for(
    serve: Callable[..., Server], tmp_path: Path, server: Server, victoria: Victoria
) -> None:
    assert server.query("SHOW DATABASES", ANN).rows() == [["a"]]
    assert server.query("SHOW MEASUREMENTS", ANN, db="a").json == {"results": [{"statement_id": 0}]}
    answer = server.query("SELECT v FROM cpu", ANN, db="a")
    assert "speaks no InfluxQL" in answer.error
    assert not server.query("CREATE DATABASE c; GRANT ALL ON c TO bob").error
    assert server.request("POST", "/write?db=c", b"m v=1", basic=BOB).status == 204
    assert server.request("GET", "/ping").status == 204
    assert databases(victoria) == {"c": {"m_v"}}
    # With drop-data a later database of the same name is empty; without it the data stays.
    for table in ("drop-data = false", "drop-data = true\ndrop-foreign-data = true"):
        path = tmp_path / "headgate.toml"
        path.write_text(
            f'[[gateway.upstream]]\nprotocol = "victoriametrics"\n{table}\n'
            f'urls = ["{victoria.url}"]\n'
        )
        again = serve("--config", str(path)).bootstrap(TWO, "CREATE DATABASE c")
        text = "DROP DATABASE c; CREATE DATABASE c; GRANT ALL ON c TO ann"
        assert not again.query(text).error
        shown = ask(again, "/db/c/api/v1/series", ANN, **{"match[]": '{db="c"}'}).body
        assert (b"m_v" in shown) == (table == "drop-data = false")


@needs_victoria
def test_what_was_written_past_us_is_taken_in(server: Server, victoria: Victoria) -> None:
    victoria.request("POST", "/write?db=old", b"m v=1")
    victoria.request("GET", "/internal/force_flush")
    assert ["old"] in server.query("SHOW DATABASES").rows()
    assert not server.query("GRANT READ ON old TO ann").error


def test_a_cluster_is_asked_by_account(serve: Callable[..., Server], tmp_path: Path) -> None:
    with recorder("insert") as insert, recorder("select") as select:
        table = upstream(
            "victoriametrics",
            components={"insert": insert.url, "select": select.url},
            tenants={"a": "12:3", "b": "7"},
        )
        server = configured(serve, tmp_path, table).bootstrap(TWO)
        insert.reply = lambda heard: (204, {}, b"")
        for path, target in [
            ("/write?db=a", "/insert/12:3/influx/write?db=a"),
            ("/influx/write?db=a", "/insert/12:3/influx/write?db=a"),
            ("/api/v1/write", "/insert/12:3/prometheus/api/v1/write"),
            ("/insert/12:3/influx/write", "/insert/12:3/influx/write"),
            ("/insert/a/prometheus/api/v1/import", "/insert/12:3/prometheus/api/v1/import"),
        ]:
            assert server.request("POST", path, b"m v=1", basic=ANN).status == 204, path
            assert insert.last.target == target
        for path, target in [
            ("/api/v1/query?query=up", "/select/12:3/prometheus/api/v1/query?query=up"),
            ("/select/12:3/prometheus/api/v1/labels", "/select/12:3/prometheus/api/v1/labels"),
            ("/db/a/api/v1/labels", "/select/12:3/prometheus/api/v1/labels"),
        ]:
            assert server.request("GET", path, basic=ANN).status == 200, path
            assert select.last.target == target
        heard = len(insert.heard), len(select.heard)
        for path in (
            *("/insert/7/influx/write", "/insert/b/influx/write", "/insert/99/influx/write"),
            *("/insert/12:3/influx/write?db=b", "/write?db=b", "/insert/12:3/opentsdb/api/put"),
        ):
            assert server.request("POST", path, b"m v=1", basic=ANN).status >= 400, path
        for path in ("/select/7/prometheus/api/v1/query", "/select/12:3/graphite/render"):
            assert server.request("GET", path, basic=ANN).status >= 400, path
        assert (len(insert.heard), len(select.heard)) == heard


@needs_victoria
def test_sync_takes_nothing_from_a_store_of_another_protocol(
    server: Server, victoria: Victoria
) -> None:
    where = ("--store", str(server.store), "--upstream", victoria.url)
    done = run_headgate("sync", *where)
    mismatch = f"{victoria.url} does not answer SHOW USERS as InfluxDB 1 does: see protocol"
    assert (done.returncode, done.stderr) == (
        1,
        f"headgate: influxdb1: {mismatch}; nothing was imported\n",
    )
    assert server.query("SHOW DATABASES").rows() == [["a"], ["b"]]
    done = run_headgate("sync", *where, "--protocol", "victoriametrics")
    assert (done.returncode, "a has no data yet upstream" in done.stdout) == (0, True)
