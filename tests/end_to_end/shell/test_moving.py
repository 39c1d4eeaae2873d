"""Users move from a real influxd to Headgate and back, with their passwords and grants."""

import csv
import os
import random
import stat
from pathlib import Path

import bcrypt

from headgate.meta_db import MetaData, MetaDatabase, MetaPolicy, MetaUser, encode_meta
from support.influxd import Influxd, needs_influxd
from support.local_server import LocalServer
from support.programs_of_ours import run_headgate
from support.recorder_upstream import recorder
from support.servers import ROOT, Server
from support.waiting import free_port

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


def everything(server: Server, login: tuple[str, str] = ROOT) -> dict[str, list[list[object]]]:
    """Returns the rows of SHOW USERS, DATABASES, RETENTION POLICIES, and GRANTS of each user."""
    found = {"": server.query("SHOW USERS", login).rows()}
    names = [str(name) for name, _ in found[""]]
    found["-"] = sorted(server.query("SHOW DATABASES", login).rows())
    found["policies"] = server.query("SHOW RETENTION POLICIES ON kept", login).rows()
    for start in range(0, len(names), 50):
        part = names[start : start + 50]
        text = ";".join(f"SHOW GRANTS FOR {quoted(name)}" for name in part)
        answer = server.query(text, login).json
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


def make_old_influxd(folder: Path, *, many: bool = True) -> dict[str, list[list[object]]]:
    """Runs an influxd with many users, some made by statements. Returns what it answers."""
    (folder / "meta").mkdir(parents=True)
    data = many_users()
    if not many:
        data = MetaData(data.databases, data.users[:4])
    (folder / "meta" / "meta.db").write_bytes(encode_meta(data))
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
        execute("REVOKE WRITE ON kept FROM todd; DROP USER user2; DROP DATABASE gone")
        if many:
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
    assert "continuous queries on kept: InfluxDB keeps its 1" in taken.stderr
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


def test_users_are_taken_from_a_running_server_with_new_passwords(tmp_path: Path) -> None:
    folder, store, passwords = tmp_path / "old", tmp_path / "users.db", tmp_path / "new.csv"
    (tmp_path / "root.password").write_text(f"{ROOT[1]}\n")
    before = make_old_influxd(folder, many=False)
    with Influxd(folder) as influxd:
        url = f"http://127.0.0.1:{influxd.port}"
        login = ("--username", "root", "--password-file", str(tmp_path / "root.password"))
        arguments = ("import", "influxdb", url, *login, "--store", str(store))
        environment = os.environ | {"HEADGATE_AUTH_BCRYPT_COST": "4"}
        taken = run_headgate(
            *arguments, "--new-passwords", str(passwords), environment=environment, check=True
        )
        assert taken.stdout.count("CREATE USER") == len(before[""])
        again = run_headgate(
            *arguments, "--new-passwords", str(passwords), environment=environment, check=True
        )
        assert again.stdout.startswith(f"{store}: 0 changes made")
        wrong = run_headgate(
            *("import", "influxdb", url, "--username", "todd", "--password-file", "-"),
            *("--store", str(store)),
            stdin="todd-1\n",
        )
        assert wrong.returncode == 1 and "requires admin privilege" in wrong.stderr
        assert wrong.stderr.count("\n") == 1
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
    rows = list(csv.reader(passwords.read_text().splitlines()))
    assert rows[0] == ["user", "password"] and {name for name, _ in rows[1:]} == {
        str(name) for name, _ in before[""]
    }
    new = dict(rows[1:])
    server = LocalServer(store, (), {}).start()
    try:
        assert everything(server, ("root", new["root"])) == before
        assert server.query("SHOW DATABASES", ("todd", new["todd"])).status == 200
    finally:
        server.stop()


def test_another_server_is_refused_in_one_line(tmp_path: Path) -> None:
    store = str(tmp_path / "users.db")
    with recorder() as other:
        other.reply = lambda heard: (200, {}, b'{"results":[{"statement_id":0}]}')
        for url, reason in (
            (other.url, "the response is not that of an InfluxDB 1.x"),
            (f"http://127.0.0.1:{free_port()}", "connection refused"),
            ("http://root:Secret-9@127.0.0.1", "without a login"),
            ("http://", "expected a URL"),
        ):
            done = run_headgate("import", "influxdb", url, "--store", store)
            assert done.returncode == 1 and reason in done.stderr, done.stderr
            assert done.stderr.count("\n") == 1 and "Secret-9" not in done.stderr
    assert not Path(store).exists()
