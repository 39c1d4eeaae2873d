"""No value that a client binds makes a store do what was not authorized: beside a real influxd.

`make long CHECK=injection N=20000` sends that many statements.
"""

import json
import os
import random
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from headgate_engine import AccessDenied, Engine, MemoryStore, Passwords, Principal, User
from headgate_grammar import (
    CreateContinuousQuery,
    CreateDatabase,
    DropDatabase,
    ParseError,
    Privilege,
    UnparseError,
    parse,
    unparse,
)
from headgate_server.upstream.influxql import LOCAL_STATEMENTS
from support.bound_values import HOSTILE, Bound, bind
from support.gateway_fixtures import configured, upstream
from support.influxd import Influxd, needs_influxd
from support.local_server import serve_on
from support.random_statements import Statements
from support.servers import ROOT, Answer, Server

pytestmark = needs_influxd

STATEMENTS = int(os.environ.get("N", "1500"))
BATCH = 100
# Stands in all data of the other database, and in no answer to a user of the first.
MARK = "Zq7SecretOfBank"
DATA = "m,h=x,k=x v=1,x=2 1000000000\nm,h=y v=2 2000000000\ncpu,host=a value=1 3000000000\n"

READING = (
    "SELECT v FROM m",
    "SELECT v FROM shop..m, shop.autogen.m WHERE h = 'x' AND v > 0",
    "SELECT v FROM shop.autogen./m/, m WHERE h =~ /x/ AND k = 'x'",
    "SELECT mean(v), 'x' FROM /m/ WHERE h !~ /y/ GROUP BY time(1m), h, /k/ fill(1) LIMIT 5",
    "SELECT v AS a FROM (SELECT v FROM m WHERE h = 'x') WHERE a =~ /x/ OR v = 1 tz('UTC')",
    "SELECT /v/, /x/ FROM m WHERE 'a' = 'b' AND time > '2020-01-01T00:00:00Z'",
    "EXPLAIN SELECT v FROM m WHERE h =~ /x/ AND k = 'x'",
    "SHOW MEASUREMENTS ON shop WITH MEASUREMENT =~ /m/ WHERE h = 'x'",
    "SHOW SERIES ON shop FROM m, /cpu/ WHERE h =~ /x/ AND k = 'x' LIMIT 1",
    "SHOW TAG KEYS FROM shop..m WHERE h = 'x'",
    "SHOW FIELD KEYS ON shop FROM /m/, m",
    "SHOW TAG VALUES ON shop FROM m WITH KEY =~ /h/ WHERE h = 'x' AND k =~ /x/",
    "SHOW TAG VALUES FROM m WITH KEY IN (h, k) WHERE h = 'x'",
    "SHOW SERIES CARDINALITY ON shop FROM m WHERE h =~ /x/",
)
WRITING = (
    "SELECT v INTO copy FROM m WHERE h =~ /x/ AND k = 'x'",
    "SELECT v INTO shop.autogen.copy FROM /m/ GROUP BY h",
    "DELETE FROM m WHERE h = 'x' AND k =~ /x/",
    "DROP SERIES FROM /m/, cpu WHERE h = 'x'",
    "DROP CONTINUOUS QUERY c ON shop",
    "CREATE CONTINUOUS QUERY c ON shop BEGIN SELECT mean(v) INTO d FROM m WHERE h =~ /x/"
    " GROUP BY time(1m), k END",
)
ADMINISTRATIVE = (
    "DROP MEASUREMENT m",
    "CREATE RETENTION POLICY p ON shop DURATION 1h REPLICATION 1",
    "ALTER RETENTION POLICY p ON shop DURATION 2h",
    "DROP RETENTION POLICY p ON shop",
    "CREATE SUBSCRIPTION s ON shop.autogen DESTINATIONS ALL 'udp://127.0.0.1:9', 'http://u:p@h'",
    "DROP SUBSCRIPTION s ON shop.autogen",
    "SHOW STATS FOR 'x'",
    "KILL QUERY 999999 ON h",
)
OWNER = Principal(User("1", "ann", "", False, {"shop": Privilege.ALL}), "password")
READER = Principal(User("2", "ro", "", False, {"shop": Privilege.READ}), "password")
ADMIN = Principal(User("3", "root", "", True, {}), "password")


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    with Influxd(tmp_path_factory.mktemp("injection"), auth=False) as influxd:
        assert influxd.query("CREATE DATABASE shop; CREATE DATABASE bank").status == 200
        secret = f'{MARK},h={MARK},k=x v=42,s="{MARK}" 1000\nm,h=x,k={MARK} v=42 1000\n'
        written = influxd.request("POST", "/write?db=bank", secret.encode())
        assert written.status == 204
        yield influxd


def fingerprint(influxd: Influxd) -> tuple[bytes, ...]:
    """What the statements of others must not change."""
    texts = (
        "SHOW DATABASES",
        "SHOW USERS",
        "SHOW RETENTION POLICIES ON bank",
        "SELECT * FROM /.*/",
    )
    return tuple(influxd.query(text, db="bank", epoch="ns").body for text in texts)


def authorized(engine: Engine, principal: Principal, given: Bound) -> str:
    """The text that is sent upstream for *given*, or "" where it is refused."""
    try:
        (statement,) = parse(given.text, given.parameters)
        engine.authorize(principal, (statement,), "shop")
    except (ParseError, AccessDenied, ValueError):
        return ""
    if isinstance(statement, (CreateDatabase, DropDatabase, *LOCAL_STATEMENTS)):
        return ""
    try:
        return unparse(statement)
    except UnparseError:
        assert isinstance(statement, CreateContinuousQuery), given
        return ""


def made(seed: int) -> tuple[Principal, Bound]:
    """A statement with hostile values, and the principal that sends it."""
    choose = random.Random(seed)
    principal = choose.choice((OWNER, OWNER, READER, ADMIN))
    match choose.randrange(4):
        case 0 if principal is not ADMIN:
            return principal, bind(Statements(seed).statement(), choose)
        case 1 if principal is ADMIN:
            return principal, bind(choose.choice(ADMINISTRATIVE), choose)
        case 2 if principal is not READER:
            return principal, bind(choose.choice(WRITING), choose)
        case _:
            return principal, bind(choose.choice(READING), choose)


def test_influxd_does_what_was_authorized_and_nothing_else(influxd: Influxd) -> None:
    engine = Engine(MemoryStore(), Passwords(cost=4))
    before = fingerprint(influxd)
    sent: list[tuple[str, Bound]] = []
    seed = count = 0
    while count < STATEMENTS:
        seed += 1
        principal, given = made(seed)
        text = authorized(engine, principal, given)
        if not text:
            continue
        if count % BATCH == 0:
            assert fingerprint(influxd) == before, sent
            assert influxd.request("POST", "/write?db=shop", DATA.encode()).status == 204
            sent.clear()
        count += 1
        sent.append((text, given))
        answer = influxd.query(text, db="shop")
        # Of a statement that was read as several, or as none, this would be another number.
        assert answer.status == 200 and len(answer.json["results"]) == 1, (text, given)
        assert MARK not in answer.body.decode(), (text, given)
    assert fingerprint(influxd) == before, sent


# Statements with parameters that were read by the store as something else.
REGEX = {"regex": "x\\\\"}
DROP = "/; DROP DATABASE bank --"
ADMIN_MADE = "/; CREATE USER evil WITH PASSWORD 'x' WITH ALL PRIVILEGES --"
FORGED = "/; SELECT * INTO bank.autogen.forged FROM shop.autogen.m; SHOW DATABASES --"
ATTACKS: list[tuple[str, dict[str, object]]] = [
    ("SELECT v FROM shop.autogen.$r, shop.autogen.$m",
     {"r": REGEX, "m": {"identifier": "/,bank.autogen.m --"}}),
    ("SELECT v FROM m WHERE h =~ $r AND x = $m",
     {"r": REGEX, "m": FORGED}),
    ("SELECT v FROM $r, $m",
     {"r": REGEX, "m": {"identifier": ADMIN_MADE}}),
    ("SELECT v FROM $r, $m", {"r": {"regex": "\\\\"}, "m": {"identifier": DROP}}),
    ("SHOW MEASUREMENTS WITH MEASUREMENT =~ $r WHERE h = $m", {"r": REGEX, "m": DROP}),
    ("SHOW TAG VALUES WITH KEY =~ $r WHERE h = $m", {"r": REGEX, "m": DROP}),
    ("SHOW SERIES FROM $r WHERE h = $m", {"r": REGEX, "m": DROP}),
    ("SHOW TAG KEYS FROM $r WHERE h = $m", {"r": REGEX, "m": DROP}),
    ("EXPLAIN SELECT v FROM m WHERE h !~ $r AND x = $m", {"r": REGEX, "m": DROP}),
    ("SELECT v FROM m WHERE h =~ $r AND x = $m", {"r": {"regex": "\\Qx\\"}, "m": DROP}),
    ("SELECT v FROM m WHERE h = $m", {"m": "x\r'; DROP DATABASE bank --"}),
    ("SELECT v FROM $m", {"m": {"identifier": "x\0\"; DROP DATABASE bank --"}}),
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, influxd: Influxd) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("before")
    server = configured(
        serve_on(folder / "users.db"),
        folder,
        upstream("influxdb1", urls=[f"http://127.0.0.1:{influxd.port}"]),
    )
    server.bootstrap(
        "CREATE USER ann WITH PASSWORD 'Ann-pw-1'; CREATE USER ro WITH PASSWORD 'Ro-pw-1';"
        "GRANT ALL ON shop TO ann; GRANT READ ON shop TO ro; SHOW DATABASES"
    )
    yield server
    server.stop()


def ask(
    server: Server, method: str, fields: dict[str, str], accept: str, basic: tuple[str, str]
) -> Answer:
    form = urlencode(fields)
    headers = {"Accept": accept}
    if method == "GET":
        return server.request("GET", f"/query?{form}", None, headers, basic)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return server.request("POST", "/query", form.encode(), headers, basic)


@pytest.mark.parametrize("user", ["ann", "ro", "root"])
@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/x-msgpack"])
def test_a_bound_value_ends_nothing_through_the_gateway(
    server: Server, influxd: Influxd, user: str, accept: str
) -> None:
    basic = ROOT if user == "root" else (user, f"{user.title()}-pw-1")
    influxd.request("POST", "/write?db=shop", DATA.encode())
    before = fingerprint(influxd)
    for text, parameters in ATTACKS:
        for method, more in (("GET", {}), ("POST", {}), ("POST", {"chunked": "true"})):
            fields = {"q": text, "db": "shop", "params": json.dumps(parameters), **more}
            answer = ask(server, method, fields, accept, basic)
            assert answer.status in (200, 400), answer.body
            assert MARK.encode() not in answer.body
            assert b"forged" not in answer.body and b"evil" not in answer.body
    assert fingerprint(influxd) == before


def test_a_pattern_that_ends_in_a_backslash_still_matches_one(
    server: Server, influxd: Influxd
) -> None:
    lines = "p,h=a\\\\\\ b v=1 1\np,h=ab v=2 2\n".replace("\\\\\\ ", "\\")
    assert influxd.request("POST", "/write?db=shop", lines.encode()).status == 204
    fields = {
        "db": "shop",
        "q": "SELECT v FROM p WHERE h =~ $r",
        "params": '{"r":{"regex":"a\\\\\\\\"}}',
    }
    answer = ask(server, "GET", fields, "application/json", ROOT)
    assert [row[1] for row in answer.rows()] == [1]


TAIL = "into shop.autogen.stolen from bank.autogen.m group by time(1s) end --"
STORED = (
    f'"mean(v) {TAIL}"(v)',
    f'mean("v) {TAIL}")',
    f'count(DISTINCT "v) {TAIL}")',
    "$f(v)",
    "mean($v)",
)


@pytest.mark.parametrize("user", ["ann", "root"])
def test_a_stored_continuous_query_is_the_one_that_was_authorized(
    server: Server, influxd: Influxd, user: str
) -> None:
    """Influxd stores the text that it prints itself, and parses it anew for each run."""
    basic = ROOT if user == "root" else ("ann", "Ann-pw-1")
    parameters = {"f": {"identifier": f"mean(v) {TAIL}"}, "v": {"identifier": f"v) {TAIL}"}}
    for field in STORED:
        for body in (
            f"SELECT {field} INTO shop..y FROM m GROUP BY time(1m)",
            f"SELECT mean(a) INTO shop..y FROM (SELECT {field} AS a FROM m) GROUP BY time(1m)",
        ):
            text = f"CREATE CONTINUOUS QUERY evil ON shop BEGIN {body} END"
            fields = {"q": text, "db": "shop", "params": json.dumps(parameters)}
            answer = ask(server, "POST", fields, "application/json", basic)
            assert (answer.status, "without quotes" in answer.error) == (400, True), answer.body
    good = (
        'CREATE CONTINUOUS QUERY "good one" ON shop BEGIN SELECT mean(v) AS "a b" INTO'
        ' shop.autogen."y --" FROM "m /*" GROUP BY time(1m), h END'
    )
    fields = {"q": good, "db": "shop"}
    assert ask(server, "POST", fields, "application/json", basic).error == ""
    shown = influxd.query("SHOW CONTINUOUS QUERIES").json["results"][0]["series"]
    texts = [row[1] for series in shown for row in series.get("values", ())]
    assert not any("stolen" in text for text in texts)
    for text in texts:
        parse(text)
    assert influxd.query('DROP CONTINUOUS QUERY "good one" ON shop').status == 200


@pytest.mark.parametrize("value", sorted({one for one in HOSTILE if one and one.isprintable()}))
def test_a_hostile_name_is_a_name(server: Server, value: str) -> None:
    fields = {
        "db": "shop",
        "q": "SELECT $f AS a INTO $t FROM $m WHERE $k = $s",
        "params": json.dumps(
            {"f": {"identifier": value}, "t": {"identifier": value}, "m": {"identifier": value},
             "k": {"identifier": value}, "s": value}
        ),
    }  # fmt: skip
    answer = ask(server, "POST", fields, "application/json", ROOT)
    assert answer.status == 200 and len(answer.json["results"]) == 1
