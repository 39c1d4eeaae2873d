"""The label of a database in a real VictoriaMetrics."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from headgate_server.upstream.snappy import compress
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.servers import ROOT, Server
from support.victoria_metrics import Victoria, needs_victoria
from support.waiting import poll_until


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[Victoria]:
    with Victoria(tmp_path) as victoria:
        yield victoria


def front(
    serve: Callable[..., Server], folder: Path, victoria: Victoria, **options: object
) -> Server:
    table = upstream("victoriametrics", urls=[victoria.url], **options)
    return configured(serve, folder, table).bootstrap(TWO)


def jsonl(*labels: dict[str, str]) -> bytes:
    now = int(time.time() * 1000)
    return b"\n".join(
        json.dumps({"metric": one, "values": [1], "timestamps": [now]}).encode() for one in labels
    )


def remote(*labels: dict[str, str]) -> bytes:
    varint, stamp = bytearray(), int(time.time() * 1000)
    while stamp > 0x7F:
        varint.append(stamp & 0x7F | 0x80)
        stamp >>= 7
    varint.append(stamp)
    sample = b"\x09" + b"\x00\x00\x00\x00\x00\x00\xf0\x3f" + b"\x10" + bytes(varint)
    return compress(b"".join(_series(one, sample) for one in labels))


def _series(labels: dict[str, str], sample: bytes) -> bytes:
    def field(number: int, content: bytes) -> bytes:
        assert len(content) < 1 << 14
        return bytes([number << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7]) + content

    pairs = [field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in labels.items()]
    return field(1, b"".join(pairs) + field(2, sample))


def _named(name: str) -> tuple[dict[str, str], ...]:
    """Three series of one name that differ in labels of their own alone."""
    own = ({"db": "x"}, {"db": "y"}, {"db": "z", "exported_db": "first"})
    return tuple({"__name__": name, **one} for one in own)


# Path, body, headers: each writes the three series of `_named`.
Write = tuple[str, Callable[[], bytes], dict[str, str]]
LINES: list[Write] = [
    (path, lambda: b"m,db=x v=1\nm,db=y v=1\nm,db=z,exported_db=first v=1", {})
    for path in (
        *("/write?db=a", "/influx/write?db=a", "/api/v2/write?bucket=a/x"),
        "/influx/api/v2/write?bucket=a/x",
    )
]
OTHERS: list[Write] = [
    ("/api/v1/write", lambda: remote(*_named("m_v")), {"Content-Encoding": "snappy"}),
    ("/prometheus/api/v1/write", lambda: remote(*_named("m_v")), {}),
    ("/api/v1/import", lambda: jsonl(*_named("m_v")), {}),
    (
        "/api/v1/import/prometheus",
        lambda: b'm_v{db="x"} 1\nm_v{ db="y"} 1\nm_v{db="z",exported_db="first"} 1\n',
        {},
    ),
    (
        "/api/v1/import/csv?format=1:label:db,2:label:exported_db,3:metric:m_v",
        lambda: b"x,,1\ny,,1\nz,first,1\n",
        {},
    ),
]
WRITES = [*LINES, *OTHERS]
ALL = {
    frozenset({"__name__": "m_v", "db": "a", "exported_db": "x"}.items()),
    frozenset({"__name__": "m_v", "db": "a", "exported_db": "y"}.items()),
    frozenset(
        {"__name__": "m_v", "db": "a", "exported_exported_db": "z", "exported_db": "first"}.items()
    ),
}
# With two columns of labels the names are of the whole table.
TABLE = {
    frozenset({"__name__": "m_v", "db": "a", "exported_exported_db": "x"}.items()),
    frozenset({"__name__": "m_v", "db": "a", "exported_exported_db": "y"}.items()),
    frozenset(
        {"__name__": "m_v", "db": "a", "exported_exported_db": "z", "exported_db": "first"}.items()
    ),
}


@needs_victoria
@pytest.mark.parametrize("packed_too", [False, True])
def test_series_that_differ_in_their_own_label_stay_apart(
    serve: Callable[..., Server], tmp_path: Path, victoria: Victoria, packed_too: bool
) -> None:
    server = front(serve, tmp_path, victoria)
    for number, (path, body, headers) in enumerate(WRITES):
        content = body().replace(b"m,", b"m%d," % number).replace(b"m_v", b"m%d_v" % number)
        path = path.replace("m_v", f"m{number}_v")
        if "Content-Encoding" in headers or path.endswith("/api/v1/write"):
            content = remote(*_named(f"m{number}_v"))
        elif packed_too:
            content, headers = gzip.compress(content), headers | {"Content-Encoding": "gzip"}
        answer = server.request("POST", path, content, headers, ANN)
        assert answer.status == 204, (path, answer.body)
        wanted = TABLE if "csv" in path else ALL

        def stored(wanted: set[frozenset[tuple[str, str]]] = wanted, number: int = number) -> bool:
            found = victoria.series(f'{{__name__="m{number}_v"}}')
            return {frozenset((one | {"__name__": "m_v"}).items()) for one in found} == wanted

        poll_until(stored, f"{path}: {victoria.series()}")


@needs_victoria
def test_reads_show_both_labels(
    serve: Callable[..., Server], tmp_path: Path, victoria: Victoria
) -> None:
    server = front(serve, tmp_path, victoria)
    server.request("POST", "/write?db=a", b"m,db=x v=1\nm,db=y v=2", basic=ANN)
    query = urlencode({"query": 'm_v{exported_db="y"}'})

    def found() -> list[dict[str, str]]:
        victoria.series()
        answer = server.request("GET", f"/api/v1/query?{query}", basic=ANN)
        return [one["metric"] for one in answer.json["data"]["result"]]

    wanted = {"__name__": "m_v", "db": "a", "exported_db": "y"}
    poll_until(lambda: found() == [wanted], "not to be read")
    values = server.request("GET", "/api/v1/label/exported_db/values", basic=ANN).json["data"]
    assert values == ["x", "y"]


@needs_victoria
def test_data_is_deleted_with_its_database_only_where_that_is_configured(
    serve: Callable[..., Server], tmp_path: Path, victoria: Victoria
) -> None:
    victoria.request("POST", "/write?db=db0", b"past v=1")
    poll_until(lambda: len(victoria.series()) == 1, "not written")
    server = front(serve, tmp_path, victoria)
    assert not server.query("CREATE DATABASE db0; DROP DATABASE db0").error
    assert [one["db"] for one in victoria.series()] == ["db0"]
    path = tmp_path / "headgate.toml"
    path.write_text(
        path.read_text().replace("[[gateway.upstream]]", "[[gateway.upstream]]\ndrop-data = true")
    )
    again = serve("--config", str(path)).bootstrap("CREATE DATABASE db0")
    assert "set drop-foreign-data to delete it" in again.query("DROP DATABASE db0").error
    assert [one["db"] for one in victoria.series()] == ["db0"]
    # A database without data upstream is Headgate's own, again and again.
    for _ in range(2):
        again.query("CREATE DATABASE own")
        again.request("POST", "/write?db=own", b"m v=1", basic=ROOT)
        poll_until(lambda: len(victoria.series()) == 2, "not written")
        assert not again.query("DROP DATABASE own").error
        assert [one["db"] for one in victoria.series()] == ["db0"]
    again.stop()
    path.write_text(path.read_text() + "drop-foreign-data = true\n")
    foreign = serve("--config", str(path)).bootstrap("CREATE DATABASE db0")
    assert not foreign.query("DROP DATABASE db0").error
    assert victoria.series() == []


@needs_victoria
def test_where_it_is_configured_the_label_is_overwritten(
    serve: Callable[..., Server], tmp_path: Path, victoria: Victoria
) -> None:
    server = front(serve, tmp_path, victoria, overwrite_label=True)
    for path, body in [
        ("/write?db=a", b"m1,db=x v=1"),
        ("/api/v1/import/prometheus", b'm2{db="x"} 1\n'),
        ("/api/v1/import/csv?format=1:label:db,2:metric:m3", b"x,1"),
    ]:
        assert server.request("POST", path, body, basic=ANN).status == 204
    wanted = [{"__name__": name, "db": "a"} for name in ("m1_v", "m2", "m3")]
    poll_until(
        lambda: sorted(victoria.series(), key=lambda one: one["__name__"]) == wanted, "not written"
    )


@needs_victoria
def test_data_of_any_time_counts_as_foreign(
    serve: Callable[..., Server], tmp_path: Path, victoria: Victoria
) -> None:
    ages = {"day": 86_400, "year": 400 * 86_400, "years": 2000 * 86_400, "tomorrow": -86_400}
    for name, age in ages.items():
        sample = f'm{{db="{name}"}} 1 {int(time.time() - age)}000\n'.encode()
        victoria.request("POST", "/api/v1/import/prometheus", sample)
    poll_until(lambda: len(victoria.series()) == len(ages), "not written")
    server = front(serve, tmp_path, victoria, drop_data=True)
    for name in ages:
        assert not server.query(f"CREATE DATABASE {name}").error
        assert "set drop-foreign-data" in server.query(f"DROP DATABASE {name}").error, name
    assert len(victoria.series()) == len(ages)


@needs_victoria
@pytest.mark.parametrize("overwrite", [False, True])
def test_no_label_of_headgate_is_cut_off(
    serve: Callable[..., Server], tmp_path: Path, victoria: Victoria, overwrite: bool
) -> None:
    server = front(serve, tmp_path, victoria, overwrite_label=overwrite)
    for labels in ([f"l{number:02}" for number in range(35)], ["x"] * 35):
        tags = ",".join(f"{name}=1" for name in labels)
        pairs = ",".join(f'{name}="1"' for name in labels)
        for path, body in (
            ("/write?db=a", f"m,db=b,{tags} v=1".encode()),
            ("/api/v1/import/prometheus", f'm{{db="b",{pairs}}} 1\n'.encode()),
        ):
            answer = server.request("POST", path, body, basic=ANN)
            assert answer.status == 400 and "more than 27 labels" in answer.error
    assert victoria.series() == []
    many = ",".join(f"l{number:02}=1" for number in range(27))
    assert server.request("POST", "/write?db=a", f"m,{many} v=1".encode(), basic=ANN).status == 204
    poll_until(lambda: len(victoria.series()) == 1, "not written")
    (found,) = victoria.series()
    assert found["db"] == "a" and len(found) == 29


@needs_victoria
def test_a_changed_label_voids_what_was_recorded(
    serve: Callable[..., Server], tmp_path: Path, victoria: Victoria
) -> None:
    server = front(serve, tmp_path, victoria, drop_data=True)
    assert not server.query("CREATE DATABASE mine").error
    server.stop()
    victoria.request("POST", "/write", b"foreign,cust=mine v=1")
    poll_until(lambda: len(victoria.series()) == 1, "not written")
    path = tmp_path / "headgate.toml"
    path.write_text(path.read_text() + 'label = "cust"\n')
    server.start()
    assert "set drop-foreign-data" in server.query("DROP DATABASE mine").error
    assert len(victoria.series()) == 1
