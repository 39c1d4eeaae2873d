"""Users move from a real influxd to Headgate and back, with their passwords and grants."""

import random
from pathlib import Path

import bcrypt

from headgate.meta_db import MetaData, MetaDatabase, MetaPolicy, MetaUser, encode_meta
from support.influxd import Influxd, needs_influxd
from support.local_server import LocalServer
from support.programs_of_ours import run_headgate
from support.servers import ROOT, Server

pytestmark = needs_influxd

USERS = 1000
ODD_NAMES = ["todd", "日本", "a b", 'quo"te', "o'hara", "back\\slash", "ümlaut é", "semi;colon"]
HOUR = 3_600 * 10**9


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def many_users() -> MetaData:
    """Returns an administrator and 999 users with grants on some of 20 databases."""
    numbers = random.Random(7)
    databases = [f"db{number}" for number in range(20)]
    policies = [MetaPolicy("autogen", 0, 168 * HOUR, 1)]
    hashes = [bcrypt.hashpw(b"Pass-%d" % number, bcrypt.gensalt(4)) for number in range(20)]
    users = [MetaUser(ROOT[0], hash_of(ROOT[1]), True, {})]
    for number in range(USERS - 1):
        chosen = numbers.sample(databases, numbers.randrange(5))
        privileges = {database: numbers.randrange(4) for database in chosen}
        users.append(MetaUser(f"user{number}", hashes[number % 20].decode(), False, privileges))
    return MetaData([MetaDatabase(name, "autogen", policies) for name in databases], users)


def hash_of(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def everything(server: Server) -> dict[str, list[list[object]]]:
    """Returns the rows of SHOW USERS, of SHOW DATABASES, and of SHOW GRANTS for each user."""
    found = {"": server.query("SHOW USERS", ROOT).rows()}
    names = [str(name) for name, _ in found[""]]
    found["-"] = sorted(server.query("SHOW DATABASES", ROOT).rows())
    for start in range(0, len(names), 50):
        part = names[start : start + 50]
        text = ";".join(f"SHOW GRANTS FOR {quoted(name)}" for name in part)
        answer = server.query(text, ROOT).json
        for name, result in zip(part, answer["results"], strict=True):
            found[name] = sorted(result["series"][0].get("values", []))
    return found


def passwords_work(server: Server) -> None:
    for number in range(0, USERS - 1, 20):
        login = (f"user{number}", f"Pass-{number % 20}")
        assert server.query("SHOW DATABASES", login).status == 200, login
    for name in ODD_NAMES:
        assert server.query("SHOW DATABASES", (name, f"{name}-1")).status == 200, name
        assert server.query("SHOW DATABASES", (name, "wrong")).status == 401, name


def make_old_influxd(folder: Path) -> dict[str, list[list[object]]]:
    """Runs an influxd with many users, some made by statements. Returns what it answers."""
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "meta.db").write_bytes(encode_meta(many_users()))
    with Influxd(folder) as influxd:

        def execute(text: str) -> None:
            answer = influxd.query(text, ROOT)
            assert answer.status == 200 and not answer.error, (text, answer.error)

        execute('CREATE DATABASE "odd é"; CREATE DATABASE gone; CREATE DATABASE kept')
        execute('CREATE RETENTION POLICY "w" ON kept DURATION 1w REPLICATION 1 DEFAULT')
        execute(
            "CREATE CONTINUOUS QUERY q ON kept BEGIN"
            " SELECT mean(x) INTO y FROM z GROUP BY time(1h) END"
        )
        for number, name in enumerate(ODD_NAMES):
            admin = " WITH ALL PRIVILEGES" if number == 1 else ""
            password = f"{name}-1".replace("\\", "\\\\").replace("'", "\\'")
            execute(f"CREATE USER {quoted(name)} WITH PASSWORD '{password}'{admin}")
            for database, privilege in (("odd é", "READ"), ("gone", "ALL"), ("kept", "WRITE")):
                execute(f"GRANT {privilege} ON {quoted(database)} TO {quoted(name)}")
        execute("REVOKE WRITE ON kept FROM todd; DROP USER user998; DROP DATABASE gone")
        passwords_work(influxd)
        return everything(influxd)


def test_users_move_to_headgate_and_back_with_their_passwords(tmp_path: Path) -> None:
    before = make_old_influxd(tmp_path / "old")
    meta, store = tmp_path / "old" / "meta" / "meta.db", tmp_path / "users.db"
    arguments = ("import", "influxdb", str(meta), "--store", str(store))

    dry = run_headgate(*arguments, "--dry-run", check=True)
    assert "changes would be made" in dry.stdout and not store.exists()
    taken = run_headgate(*arguments, check=True)
    assert "$2a$" not in taken.stdout + taken.stderr
    assert taken.stdout.count("CREATE USER") == len(before[""]) == USERS - 1 + len(ODD_NAMES)
    assert "retention policy autogen on kept: only the default policy is kept" in taken.stderr
    assert "1 continuous queries on kept: InfluxDB keeps them" in taken.stderr
    again = run_headgate(*arguments, check=True)
    assert again.stdout.startswith(f"{store}: 0 changes made")

    server = LocalServer(store, (), {}).start()
    try:
        assert everything(server) == before
        passwords_work(server)
    finally:
        server.stop()

    new = tmp_path / "new"
    (new / "meta").mkdir(parents=True)
    run_headgate("export", "influxdb", str(store), str(new / "meta" / "meta.db"), check=True)
    with Influxd(new) as influxd:
        assert everything(influxd) == before
        passwords_work(influxd)
        answer = influxd.query("SHOW RETENTION POLICIES ON kept", ROOT).rows()
        assert [row[:2] for row in answer] == [["w", "168h0m0s"]]
