"""Statements on the memory store and the SQLite store: results and errors by InfluxDB's rules."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from headgate_engine import (
    ANONYMOUS,
    UNRESTRICTED,
    AccessDenied,
    AdminRequiredFirst,
    AuthenticationFailed,
    Engine,
    MemoryStore,
    Passwords,
    Principal,
    Store,
    explain,
)
from headgate_grammar import DropUser, ParseCache, ParseError

SETUP = "CREATE DATABASE db; CREATE USER todd WITH PASSWORD 't'"


def run(engine: Engine, text: str, principal: Principal = UNRESTRICTED) -> list[str]:
    """Executes the statements *text*; returns the error of each, or "" on success."""
    return [result.error for result in engine.query(text, principal)]


def rows(engine: Engine, text: str, principal: Principal = UNRESTRICTED) -> list[list[object]]:
    (result,) = engine.query(text, principal)
    assert not result.error
    return [list(row) for series in result.series for row in series.values]


def logged_in(engine: Engine, name: str, password: str) -> Principal:
    return Principal(engine.authenticate(name, password), "password")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("CREATE USER todd WITH PASSWORD 't'", ""),
        ("CREATE USER todd WITH PASSWORD 'other'", "user already exists"),
        ("CREATE USER todd WITH PASSWORD 't' WITH ALL PRIVILEGES", "user already exists"),
        ("CREATE USER \"\" WITH PASSWORD 'x'", "username required"),
        (f"CREATE USER {'n' * 1025} WITH PASSWORD 'x'", "username too long: at most 1024 bytes"),
        (
            f"CREATE USER x WITH PASSWORD '{'p' * 73}'",
            "bcrypt: password length exceeds 72 bytes",
        ),
        (f"CREATE USER x WITH PASSWORD '{'p' * 72}'", ""),
        ("SET PASSWORD FOR todd = 'new'", ""),
        (f"SET PASSWORD FOR todd = '{'é' * 37}'", "bcrypt: password length exceeds 72 bytes"),
        ("SET PASSWORD FOR nobody = 'x'", "user not found"),
        ("DROP USER nobody", "user not found"),
        ("DROP USER root", "cannot remove the last admin user"),
        ("REVOKE ALL PRIVILEGES FROM root", "cannot remove the last admin user"),
        ("REVOKE ALL PRIVILEGES FROM todd", ""),
        ("GRANT READ ON db TO nobody", "user not found"),
        ("GRANT READ ON nope TO nobody", "user not found"),
        ("GRANT READ ON nope TO todd", "database not found: nope"),
        ("REVOKE READ ON nope FROM todd", "database not found: nope"),
        ("SHOW GRANTS FOR nobody", "user not found"),
        ("CREATE DATABASE db", ""),
        ('CREATE DATABASE ""', "invalid name"),
        ('CREATE DATABASE ".."', "invalid name"),
        ('CREATE DATABASE "a/b"', "invalid name"),
        ('CREATE DATABASE "a\\\\b"', "invalid name"),
        ('CREATE DATABASE "a\\nb"', "invalid name"),
        ('CREATE DATABASE "\u00a0"', "invalid name"),
        (f"CREATE DATABASE {'d' * 256}", "name too long"),
        ("DROP DATABASE nope", ""),
        (
            "CREATE DATABASE x WITH DURATION 30m",
            "retention policy duration must be at least 1h0m0s",
        ),
        (
            "CREATE DATABASE x WITH DURATION 1h SHARD DURATION 2h",
            "retention policy duration must be greater than the shard duration",
        ),
        (
            "CREATE DATABASE db WITH DURATION 2d",
            "retention policy conflicts with an existing policy",
        ),
        ("CREATE DATABASE db WITH REPLICATION 1", ""),
        ('CREATE DATABASE x WITH NAME "a/b"', "invalid name"),
    ],
)
def test_a_statement_answers(engine: Engine, text: str, error: str) -> None:
    run(engine, SETUP)
    assert run(engine, text) == [error]


def test_a_policy_may_be_asked_for_again_and_not_changed(engine: Engine) -> None:
    asked = "CREATE DATABASE x WITH DURATION 1d"
    assert run(engine, f"{asked}; {asked}; CREATE DATABASE x") == ["", "", ""]
    assert run(engine, "CREATE DATABASE x WITH NAME other") == [
        "retention policy conflicts with an existing policy"
    ]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("GRANT READ ON db TO todd", "READ"),
        ("GRANT WRITE ON db TO todd; GRANT READ ON db TO todd", "READ"),
        ("GRANT ALL ON db TO todd; REVOKE READ ON db FROM todd", "WRITE"),
        ("GRANT ALL ON db TO todd; REVOKE WRITE ON db FROM todd", "READ"),
        ("GRANT READ ON db TO todd; REVOKE READ ON db FROM todd", "NO PRIVILEGES"),
        ("GRANT READ ON db TO todd; REVOKE WRITE ON db FROM todd", "READ"),
        ("GRANT READ ON db TO todd; REVOKE ALL ON db FROM todd", "NO PRIVILEGES"),
        ("REVOKE READ ON db FROM todd", "NO PRIVILEGES"),
        ("GRANT READ ON db TO todd; GRANT ALL TO todd; REVOKE ALL FROM todd", "READ"),
    ],
)
def test_a_grant_replaces_and_a_revoke_takes_away(engine: Engine, text: str, left: str) -> None:
    run(engine, SETUP)
    assert set(run(engine, text)) == {""}
    assert rows(engine, "SHOW GRANTS FOR todd") == [["db", left]]


def test_after_an_error_nothing_more_is_executed_and_nothing_rolled_back(engine: Engine) -> None:
    answers = run(engine, "CREATE DATABASE a; DROP USER nobody; CREATE DATABASE b; SHOW USERS")
    assert answers == ["", "user not found", "not executed", "not executed"]
    assert rows(engine, "SHOW DATABASES") == [["a"]]


def test_users_are_shown_in_order_of_creation(engine: Engine) -> None:
    run(engine, "CREATE USER b WITH PASSWORD 'x'; CREATE USER a WITH PASSWORD 'x'")
    run(engine, "DROP USER b; CREATE USER b WITH PASSWORD 'x'; GRANT ALL TO a")
    assert rows(engine, "SHOW USERS") == [["root", True], ["a", True], ["b", False]]


def test_only_databases_with_a_privilege_are_shown(engine: Engine) -> None:
    run(engine, f"{SETUP}; CREATE DATABASE r; CREATE DATABASE w; CREATE DATABASE none")
    run(engine, "GRANT READ ON r TO todd; GRANT WRITE ON w TO todd; REVOKE ALL ON none FROM todd")
    todd = logged_in(engine, "todd", "t")
    assert rows(engine, "SHOW DATABASES", todd) == [["r"], ["w"]]
    assert len(rows(engine, "SHOW DATABASES", logged_in(engine, "root", "Toor-1"))) == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SHOW USERS", "todd not authorized to execute statement 'SHOW USERS', requires admin"),
        (
            "SHOW DATABASES; SET PASSWORD FOR todd = 'x'; DROP USER root",
            r"statement 'SET PASSWORD FOR todd = \[REDACTED\]', requires admin privilege",
        ),
        ("grant all on db to todd", "statement 'GRANT ALL PRIVILEGES ON db TO todd', requires"),
    ],
)
def test_a_query_is_refused_as_a_whole(engine: Engine, text: str, reason: str) -> None:
    run(engine, SETUP)
    revision = engine.store.confirmed_revision()
    with pytest.raises(AccessDenied, match=reason):
        engine.query(text, logged_in(engine, "todd", "t"))
    assert engine.store.confirmed_revision() == revision


def test_a_wrong_text_does_nothing(engine: Engine) -> None:
    with pytest.raises(ParseError):
        engine.query("CREATE DATABASE a; FOO", UNRESTRICTED)
    assert rows(engine, "SHOW DATABASES") == []


@pytest.mark.parametrize("text", ["SHOW USERS", "", "CREATE USER a WITH PASSWORD 'x'"])
def test_without_users_only_an_administrator_can_be_made(store: Store, text: str) -> None:
    engine = Engine(store, Passwords(cost=4))
    with pytest.raises(AdminRequiredFirst):
        engine.query(text, ANONYMOUS)
    made = "CREATE USER a WITH PASSWORD 'x' WITH ALL PRIVILEGES; CREATE DATABASE db; SHOW DATABASES"
    assert run(engine, made, ANONYMOUS) == ["", "", ""]
    with pytest.raises(AdminRequiredFirst):
        engine.query(made, ANONYMOUS)


def test_of_two_first_administrators_one_wins(store: Store) -> None:
    engine = Engine(store, Passwords(cost=4))
    statements = engine.parse("CREATE USER b WITH PASSWORD 'x' WITH ALL PRIVILEGES; SHOW USERS")
    engine.authorize(ANONYMOUS, statements)
    # CREATE USER a runs between the authorization of CREATE USER b and its execution.
    run(engine, "CREATE USER a WITH PASSWORD 'x' WITH ALL PRIVILEGES", ANONYMOUS)
    late = [result.error for result in engine.execute(statements, ANONYMOUS)]
    assert late == ["user already exists", "not executed"]
    assert rows(engine, "SHOW USERS") == [["a", True]]


def test_the_last_administrator_may_go_where_that_is_wanted(store: Store) -> None:
    engine = Engine(store, Passwords(cost=4), keep_last_admin=False)
    run(engine, "CREATE USER root WITH PASSWORD 'x' WITH ALL PRIVILEGES", ANONYMOUS)
    assert run(engine, "REVOKE ALL FROM root; DROP USER root") == ["", ""]


def test_old_passwords_do_not_log_in(engine: Engine) -> None:
    run(engine, SETUP)
    assert engine.authenticate("todd", "t").name == "todd"
    assert engine.authenticate_cached("todd", "t") is not None
    for change in ("SET PASSWORD FOR todd = 'u'", "DROP USER todd", SETUP.replace("'t'", "'v'")):
        run(engine, change)
        assert engine.authenticate_cached("todd", "t") is None
        with pytest.raises(AuthenticationFailed):
            engine.authenticate("todd", "t")
    assert engine.authenticate("todd", "v").name == "todd"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("nobody", "x"),
        ("ROOT", "Toor-1"),
        ("root", ""),
        ("root", "toor-1"),
        ("", ""),
        ("root", "Toor-1\0"),
        ("root", "x" * 100),
        ("\udcff", "x"),
        ("root", "Toor-1\udcff"),
    ],
)
def test_a_wrong_login_is_refused_and_does_not_say_why(
    engine: Engine, name: str, password: str
) -> None:
    with pytest.raises(AuthenticationFailed) as refused:
        engine.authenticate(name, password)
    assert str(refused.value) == "authorization failed"


def test_a_change_is_recorded_with_its_author_and_without_its_secrets(engine: Engine) -> None:
    run(engine, SETUP)
    root = logged_in(engine, "root", "Toor-1")
    list(engine.query("SET PASSWORD FOR todd = 'very secret'", root, address="192.0.2.7"))
    record = engine.store.audit()[-1]
    assert (record.actor, record.address) == ("root", "192.0.2.7")
    assert record.statement == "SET PASSWORD FOR todd = [REDACTED]"
    assert "very secret" not in repr(engine.store.audit())


def test_the_memory_store_needs_no_file() -> None:
    assert run(Engine(MemoryStore(), Passwords(cost=4)), "SHOW USERS") == [""]


def test_the_same_user_made_twice_at_once_is_made_once_without_an_error(store: Store) -> None:
    engine = Engine(store, Passwords(cost=4))
    with ThreadPoolExecutor(8) as pool:
        statement = "CREATE USER todd WITH PASSWORD 't'"
        errors = list(pool.map(lambda _: run(engine, statement), range(16)))
    assert errors == [[""]] * 16
    assert [account.name for account in store.users()] == ["todd"]


@pytest.mark.parametrize("wrong", ["\udcff", "\ud800", "a\udfffb"])
def test_half_a_character_is_no_user_and_no_fault(engine: Engine, wrong: str) -> None:
    assert run(engine, f'DROP USER "{wrong}"') == ["user not found"]
    assert run(engine, f"CREATE USER \"{wrong}\" WITH PASSWORD '{wrong}'") == [""]
    assert rows(engine, "SHOW USERS")[1] == [wrong.replace(wrong.strip("ab"), "\ufffd"), False]
    for name in (wrong, "root"):
        with pytest.raises(AuthenticationFailed):
            engine.authenticate(name, wrong)
    assert [result.error for result in engine.execute([DropUser(wrong)], UNRESTRICTED)] == [
        "invalid name"
    ]


def test_all_databases_are_read_by_users_with_a_grant_on_each(engine: Engine) -> None:
    run(engine, "CREATE DATABASE a; CREATE DATABASE b; CREATE USER todd WITH PASSWORD 't'")
    todd = logged_in(engine, "todd", "t")
    for grant, allowed in (("READ ON a", False), ("ALL ON b", True), ("WRITE ON a", False)):
        run(engine, f"GRANT {grant} TO todd")
        todd = Principal(engine.user("todd"), "password")
        (statement,) = engine.parse("SHOW MEASUREMENTS ON *")
        (found,) = explain(engine, "todd", statement)
        assert found.allowed is allowed
        if allowed:
            engine.authorize(todd, [statement])
        else:
            with pytest.raises(AccessDenied, match=r"requires READ on \*"):
                engine.authorize(todd, [statement], "b")


def test_the_limits_of_1_12_are_kept_and_shown_in_its_dialect(store: Store) -> None:
    newer = Engine(store, parse=ParseCache(dialect="1.12"))
    run(newer, "CREATE DATABASE a WITH FUTURE LIMIT 90m PAST LIMIT 1d")
    run(newer, "CREATE RETENTION POLICY p ON a DURATION 2h REPLICATION 1 PAST LIMIT 90s")
    run(newer, "ALTER RETENTION POLICY autogen ON a FUTURE LIMIT 1h")
    assert rows(newer, "SHOW RETENTION POLICIES ON a") == [
        ["autogen", "0s", "168h0m0s", 1, "1h0m0s", "24h0m0s", True],
        ["p", "2h0m0s", "1h0m0s", 1, "0s", "1m30s", False],
    ]
    assert run(newer, "CREATE DATABASE a WITH PAST LIMIT 1d") == [""]
    conflict = "retention policy conflicts with an existing policy"
    assert run(newer, "CREATE DATABASE a WITH PAST LIMIT 2d") == [conflict]
    older = Engine(store)
    assert rows(older, "SHOW RETENTION POLICIES ON a")[0] == ["autogen", "0s", "168h0m0s", 1, True]
