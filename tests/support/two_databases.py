"""Generates requests that might read or change the database a, by Bob, the user of database b."""

import gzip
import json
from dataclasses import dataclass, field
from urllib.parse import quote

from hypothesis import strategies as st

# Occurs in the data of a; no response to Bob may contain it.
MARK = "Zq7SecretOfA"
# Occurs in all data that Bob writes; the database a must never contain it.
WRITTEN_BY_BOB = "WrittenByBob"

_NAMES = ("a", "b", '"a"', "a.", "A", "a\x00", " a", "a ", "b|a", "a|b", "a/autogen", "b/../a", "*")
_PLACES = ("a..", "b..", '"a"..', "a.autogen.", "b.autogen.", "", '"a"."autogen".')
# Statements with bound values that try to end a pattern, string or name, and add a statement.
_BOUND_STATEMENTS = st.sampled_from(
    (
        *("SELECT * FROM $r, $m", "SELECT * FROM b.autogen.$r, b.autogen.$m", "SELECT $m FROM $r"),
        *("SELECT * FROM b..m WHERE k =~ $r AND x = $s", "SELECT * FROM m WHERE x = $s"),
        *("SELECT * INTO $m FROM b..m WHERE k =~ $r", "SHOW SERIES ON b FROM $r WHERE k = $s"),
        *("SHOW MEASUREMENTS ON $d", "SHOW TAG VALUES ON b WITH KEY =~ $r WHERE k = $s"),
        *("EXPLAIN SELECT * FROM m WHERE k !~ $r AND x = $s", "SELECT * FROM $d..m"),
    )
)
_TAILS = (
    "",
    ",a.autogen.m --",
    "; SELECT * FROM a..m --",
    f"; SELECT * INTO a..{WRITTEN_BY_BOB} FROM b..m --",
)


@st.composite
def _parameters(draw: st.DrawFn) -> str:
    end = draw(st.sampled_from(("/", "'", '"', "", "\\", "\n", "\r", "\0", "*/", "--")))
    text = end + draw(st.sampled_from(_TAILS))
    pattern = draw(st.sampled_from(("x\\\\", "\\\\", "x\\", "\\Qx\\", ".*", "[\\\\", "x/", "\n")))
    name = draw(st.sampled_from((text, *_NAMES)))
    values = {"r": {"regex": pattern}, "m": {"identifier": text}, "s": text}
    return json.dumps(values | {"d": {"identifier": name}})


_STATEMENTS = st.one_of(
    _BOUND_STATEMENTS,
    _BOUND_STATEMENTS,
    st.builds("SELECT * FROM {}m".format, st.sampled_from(_PLACES)),
    st.builds("SELECT * FROM b..m, {}m".format, st.sampled_from(_PLACES)),
    st.builds("SELECT * FROM (SELECT * FROM {}m)".format, st.sampled_from(_PLACES)),
    st.builds("SELECT * FROM {}/.*/".format, st.sampled_from(_PLACES)),
    st.builds(f"SELECT * INTO {{}}{WRITTEN_BY_BOB} FROM b..m".format, st.sampled_from(_PLACES)),
    st.builds("SHOW TAG VALUES FROM {}m WITH KEY = k".format, st.sampled_from(_PLACES)),
    st.builds(
        "SHOW {} ON {}".format,
        st.sampled_from(("MEASUREMENTS", "SERIES", "TAG KEYS", "FIELD KEYS", "RETENTION POLICIES")),
        st.sampled_from(_NAMES),
    ),
    st.sampled_from(
        (
            *("SHOW MEASUREMENTS", "SHOW SERIES", "SHOW DATABASES", "SHOW QUERIES", "SHOW USERS"),
            *("SHOW CONTINUOUS QUERIES", "SHOW STATS", "SHOW DIAGNOSTICS", "SHOW SHARDS"),
            *("DROP DATABASE a", "DROP MEASUREMENT m", "DELETE FROM m", "DROP SERIES FROM a..m"),
            *("GRANT ALL ON a TO bob", "GRANT ALL PRIVILEGES TO bob", "SHOW GRANTS FOR ann"),
            *("CREATE DATABASE a", "SELECT * FROM $m", "SELECT * FROM m; SELECT * FROM a..m"),
            *(
                "SELECT * FROM m -- a",
                "SELECT * FROM m/**/;SHOW SERIES ON a",
                "EXPLAIN SELECT * FROM a..m",
            ),
        )
    ),
)
_SELECTORS = st.sampled_from(
    (
        *('{__name__!=""}', '{db="a"}', '{db=~"a|b"}', '{db!="b"}', "m_v", '{k=~".*"}'),
        *('m_v{db="a"} or m_v', "sum(m_v) by (db, k)", 'label_replace(m_v,"db","a","","")'),
        *('{__name__!="",db="a"} offset 1s', 'last_over_time({db="a"}[1y])', "count(m_v)"),
    )
)
_LABELS = st.sampled_from(
    ("db=a", "db=b", "db%3Da", "=a", "db", '{db="a"}', '{db=~".+"}', "{}", "__name__=m_v", "k=x")
)
_VALUES = {
    "db": st.sampled_from(_NAMES),
    "q": _STATEMENTS,
    "query": _SELECTORS,
    "match[]": _SELECTORS,
    "extra_label": _LABELS,
    "extra_filters": _LABELS,
    "extra_filters[]": _LABELS,
    "bucket": st.sampled_from(_NAMES),
    "rp": st.sampled_from(("autogen", "a", "a.autogen", '"', "")),
    "precision": st.sampled_from(("ns", "s", "x", "")),
    "params": st.one_of(
        _parameters(),
        st.sampled_from(('{"m":"a..m"}', '{"m":{"identifier":"a..m"}}', "{}", "[")),
    ),
    "chunked": st.sampled_from(("true", "false")),
    "pretty": st.just("true"),
    "epoch": st.sampled_from(("ns", "s")),
    "format": st.sampled_from(("__name__,k,db,__value__,__timestamp__:unix_s", "1:metric:x")),
    "start": st.sampled_from(("0", "-1h", "2020-01-01T00:00:00Z")),
    "step": st.just("1m"),
    "topN": st.just("100"),
    "orgid": st.just("a"),
}


@st.composite
def _pair(draw: st.DrawFn) -> tuple[str, str]:
    name = draw(st.sampled_from(sorted(_VALUES)))
    value = draw(_VALUES[name])
    match draw(st.integers(0, 11)):
        case 0:
            name = name.upper()
        case 1:
            name = name + " "
        case 2:
            name = name + "[]"
    return name, value


@st.composite
def _encoded(draw: st.DrawFn, base: tuple[tuple[str, str], ...] = ()) -> str:
    """Returns *base* and random parameters as a query string.

    Parameters may be reordered, repeated, percent-encoded more than needed, or oddly separated.
    """
    pairs = [*base, *draw(st.lists(_pair(), max_size=4))]
    if draw(st.booleans()):
        pairs = draw(st.permutations(pairs))
    if draw(st.integers(0, 4)) == 0:
        pairs += pairs[:2]
    texts = []
    for name, value in pairs:
        more = draw(st.integers(0, 9)) == 0
        name = "".join(f"%{ord(c):02x}" for c in name) if more else quote(name, safe="")
        value = quote(value, safe=draw(st.sampled_from(("", "=/:,"))))
        if draw(st.integers(0, 19)) == 0:
            value = value.replace("%", "%25", 1)
        texts.append(f"{name}={value}")
    return draw(st.sampled_from(("&", "&", "&", "&", "&", "&&", ";", "&;"))).join(texts)


_SPOOFED = st.lists(
    st.sampled_from(
        (
            *(("X-Scope-OrgID", "a"), ("X_Scope_OrgID", "a"), ("X-Scope-OrgID", "b|a")),
            *(("X-Auth-User", "ann"), ("X-Auth-Database", "a"), ("X-Forwarded-User", "ann")),
            *(("X-HTTP-Method-Override", "DELETE"), ("X-Original-URI", "/write?db=a")),
            *(("Connection", "X-Auth-User, Content-Type"), ("X-Forwarded-Uri", "/query?db=a")),
            *(("Accept", "application/csv"), ("Accept", "application/x-msgpack")),
            *(("Accept-Encoding", "gzip"), ("Expect", "x"), ("AccountID", "1"), ("Host", "a")),
        )
    ),
    max_size=3,
)
_ATTACK = json.dumps(
    {
        "r": {"regex": "x\\\\"},
        "m": {"identifier": "/,a.autogen.m --"},
        "s": "/; SELECT * FROM a..m --",
    }
)
# Requests that Bob is allowed to send: method, path, and the parameters that they need.
_EVERYTHING = ("match[]", '{__name__!=""}')
_OWN: dict[str, tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]] = {
    "influxdb1": (
        ("GET", "/query", (("q", "SELECT * FROM m"), ("db", "b"))),
        ("POST", "/query", (("q", "SELECT * FROM m"), ("db", "b"))),
        *(
            (method, "/query", (("q", text), ("db", "b"), ("params", _ATTACK)))
            for method in ("GET", "POST")
            for text in ("SELECT * FROM $r, $m", "SELECT * FROM m WHERE k =~ $r AND x = $s")
        ),
        ("POST", "/query", (("db", "b"),)),
        ("GET", "/query", (("db", "b"),)),
        ("POST", "/query", ()),
        ("POST", "/write", (("db", "b"),)),
        ("POST", "/api/v2/write", (("bucket", "b/autogen"),)),
    ),
    "victoriametrics": (
        *(
            (method, path, (("query", '{__name__!=""}'),))
            for method in ("GET", "POST")
            for path in ("/api/v1/query", "/api/v1/query_range", "/prometheus/api/v1/query")
        ),
        *(
            (method, path, (_EVERYTHING, ("start", "1")))
            for method in ("GET", "POST")
            for path in ("/api/v1/series", "/api/v1/labels", "/api/v1/export", "/federate")
        ),
        ("GET", "/api/v1/label/k/values", (("start", "1"),)),
        ("GET", "/api/v1/label/db/values", (("start", "1"),)),
        ("GET", "/api/v1/label/__name__/values", (("start", "1"),)),
        ("GET", "/api/v1/export/csv", (_EVERYTHING, ("format", "__name__,k,db,__value__"))),
        ("GET", "/api/v1/status/tsdb", (("topN", "100"),)),
        *(
            ("POST", path, (("db", "b"),))
            for path in (
                *("/write", "/influx/write", "/api/v2/write", "/influx/api/v2/write"),
                *("/api/v1/import", "/api/v1/import/prometheus", "/prometheus/api/v1/import"),
            )
        ),
        ("POST", "/api/v1/import/csv", (("format", "1:label:db,2:metric:x"), ("db", "b"))),
        ("GET", "/query", (("q", "SHOW DATABASES"),)),
    ),
}
# Other paths of the upstream stores, and misspelt paths.
_PATHS = {
    "influxdb1": ("/query/", "/write?", "/debug/vars", "/ping", "/QUERY", "/%71uery"),
    "victoriametrics": (
        *("/api/v1/export/native", "/api/v1/status/top_queries", "/api/v1/series/count"),
        *("/api/v1/admin/tsdb/delete_series", "/graphite/render", "/vmui/", "/flags"),
        *("/select/0/prometheus/api/v1/query", "/insert/0/influx/write", "/api/v1/import/native"),
        *("/datadog/api/v1/series", "/internal/force_merge", "/snapshot/create", "/metrics"),
    ),
}
_TURNS = ("/db/a", "/db/b", "/", "/./", "/x/..", "/%2e", "//", "/db/a%2fb", "/db/b/db/a", "/db/%61")


@dataclass(frozen=True)
class Sent:
    """A request of Bob to the gateway."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(default=b"")


def _lines(db: str) -> bytes:
    return f"{WRITTEN_BY_BOB},db={db},k=x v=1\n{WRITTEN_BY_BOB}2 v=2".encode()


_DATA = st.one_of(
    st.builds(_lines, st.sampled_from(("a", "b", "a\\ ", '"a"'))),
    st.sampled_from(
        (
            f'{WRITTEN_BY_BOB}3{{db="a"}} 1\n'.encode(),
            f'{{"metric":{{"__name__":"{WRITTEN_BY_BOB}4","db":"a"}},"values":[1],"timestamps":[1]}}'.encode(),
            f"a,{WRITTEN_BY_BOB}".encode(),
        )
    ),
)


@st.composite
def requests(draw: st.DrawFn, protocol: str) -> Sent:
    """Returns a request of Bob to an upstream of *protocol*: an allowed request, more parameters.

    One in eight has another path and method instead.
    """
    method, path, base = draw(st.sampled_from(_OWN[protocol]))
    odd = draw(st.integers(0, 7)) == 0
    if odd:
        path = draw(st.sampled_from(_PATHS[protocol]))
        method = draw(st.sampled_from(("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH")))
    if draw(st.integers(0, 7)) == 0:
        path = draw(st.sampled_from(_TURNS)) + path
    headers = list(draw(_SPOOFED)) if draw(st.booleans()) else []
    places = ("url", "url", "form", "form", "multipart", "json") if method == "POST" else ("url",)
    place = "data" if _writes(path) else draw(st.sampled_from(places))
    url, body = draw(_encoded(base)), b""
    match place:
        case "form":
            url, inside = draw(st.sampled_from(((url, ()), ("", base), ("db=b", base))))
            body = draw(_encoded(inside)).encode()
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        case "multipart":
            pairs = [*base, *draw(st.lists(_pair(), max_size=3))]
            file = draw(st.sampled_from(("", "; filename=q")))
            parts = [
                f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{value}\r\n'
                for name, value in pairs
            ]
            body = "".join(parts).encode() + b"--x--\r\n"
            url = draw(st.sampled_from((url, "", "db=b")))
            headers.append(("Content-Type", "multipart/form-data; boundary=x"))
        case "data":
            body = draw(_DATA)
            if draw(st.booleans()):
                headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        case "json":
            body = b'{"db":"a","q":"SELECT * FROM a..m","query":"{db=\\"a\\"}"}'
            headers.append(("Content-Type", "application/json"))
    if place == "data" and draw(st.integers(0, 4)) == 0:
        body = gzip.compress(body)
        headers.append(("Content-Encoding", "gzip"))
    target = path + ("&" if "?" in path else "?") + url if url else path
    return Sent(method, target.replace(" ", "%20"), tuple(headers), body)


def _writes(path: str) -> bool:
    return "write" in path or "import" in path
