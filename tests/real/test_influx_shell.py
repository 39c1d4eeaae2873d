"""Debian's influx 1.6.7 against our server: the program that people type into."""

from support.influx_shell import influx, needs_influx
from support.servers import ROOT, Server

pytestmark = needs_influx


def execute(server: Server, text: str, login: tuple[str, str] | None = ROOT) -> tuple[str, int]:
    user = ("-username", login[0], "-password", login[1]) if login is not None else ()
    return influx(server, *user, "-execute", text)


def test_influx_does_the_whole_tour(server: Server) -> None:
    def run(statement: str, login: tuple[str, str] | None = ROOT) -> str:
        printed, status = execute(server, statement, login)
        assert status == 0, printed
        return printed

    def refused(statement: str, login: tuple[str, str] | None) -> str:
        printed, status = execute(server, statement, login)
        assert status == 1
        return printed.splitlines()[0]

    assert "create admin user first" in refused("SHOW USERS", None)
    run("CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES", None)
    run("CREATE DATABASE telegraf")
    run("CREATE USER todd WITH PASSWORD 's3cret'")
    run("CREATE USER \"al ice\" WITH PASSWORD 'won''der'".replace("''", "\\'"))
    run("GRANT ALL ON telegraf TO todd")
    run("REVOKE WRITE ON telegraf FROM todd")
    assert run("SHOW GRANTS FOR todd") == (
        "database privilege\n-------- ---------\ntelegraf READ\n"
    )
    assert run("SHOW USERS") == (
        "user   admin\n----   -----\nroot   true\ntodd   false\nal ice false\n"
    )
    assert run("SHOW DATABASES", ("todd", "s3cret")) == "name: databases\nname\n----\ntelegraf\n"
    assert run("SHOW DATABASES", ("al ice", "won'der")) == "name: databases\nname\n----\n"
    assert refused("SHOW USERS", ("todd", "wrong")) == "ERR: authorization failed"
    assert refused("SHOW USERS", ("todd", "s3cret")) == (
        "ERR: error authorizing query: todd not authorized to execute statement 'SHOW USERS',"
        " requires admin privilege"
    )
    assert refused("SHOW USERS", None) == "ERR: unable to parse authentication credentials"
    run("SET PASSWORD FOR todd = 'other'")
    assert refused("SHOW DATABASES", ("todd", "s3cret")) == "ERR: authorization failed"
    run("SHOW DATABASES", ("todd", "other"))
    run("GRANT ALL PRIVILEGES TO todd; SHOW USERS", ("root", "Toor-1"))
    run('DROP USER "al ice"', ("todd", "other"))
    assert refused('DROP USER "al ice"', ROOT) == "ERR: user not found"
    assert run("SHOW USERS; SHOW DATABASES").count("\n\n") == 1
    run("DROP DATABASE telegraf")
    assert run("SHOW GRANTS FOR todd") == "database privilege\n-------- ---------\n"
