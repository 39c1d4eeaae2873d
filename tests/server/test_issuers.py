"""Tokens of other issuers, asked of real servers; and the tool that looks into them."""

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

import tokens_made as made
from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.servers import Answer, Server
from support.waiting import poll_until

KEY = made.key("idp")
OTHER = made.key("other", "EC", "P-256")
HOUR = 3600
Configured = Callable[..., Server]
S = TypeVar("S", bound=Server)


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "todd", "exp": int(time.time()) + HOUR} | more


def whoami(server: Server, token: str) -> Answer:
    return server.request("GET", "/api/whoami", headers={"X-Token": token})


def with_tokens(serve: Callable[..., S], folder: Path, text: str, *flags: str, top: str = "") -> S:
    """A server with that `[auth.jwt]`, and databases a and b."""
    path = folder / "headgate.toml"
    path.write_text(configuration(text, top))
    (folder / "key.pem").write_text(made.pem(KEY))
    return serve("--config", str(path), *flags).bootstrap("CREATE DATABASE a; CREATE DATABASE b")


@pytest.fixture
def configured(serve: Callable[..., Server], tmp_path: Path) -> Configured:
    return partial(with_tokens, serve, tmp_path)


@pytest.fixture
def configured_process(
    serve_process: Callable[..., ServerProcess], tmp_path: Path
) -> Callable[..., ServerProcess]:
    return partial(with_tokens, serve_process, tmp_path)


def configuration(text: str, top: str = "") -> str:
    return f'{top}\n[auth.jwt]\nenabled = true\nheader-name = "X-Token"\n{text}\n'


PLAIN = 'key-file = "{folder}/key.pem"\nusername-claim = "sub"\nauto-sign-up = true\n'


@pytest.fixture
def plain(tmp_path: Path) -> str:
    return PLAIN.format(folder=tmp_path)


def test_grants_can_be_lent_for_a_request_alone(configured: Configured, plain: str) -> None:
    server = configured(plain + 'grant-sync = "ephemeral"\ngrants-attribute-path = "dbs"')
    reader = made.token(KEY, claims(dbs={"a": "READ"}))
    assert whoami(server, reader).json["grants"] == {"a": "READ"}
    listed = server.request("GET", "/query?q=SHOW+DATABASES", headers={"X-Token": reader})
    assert listed.rows() == [["a"]]
    writer = made.token(KEY, claims(dbs=[{"database": "b", "privilege": "WRITE"}]))
    assert whoami(server, writer).json["grants"] == {"b": "WRITE"}
    assert (
        server.query("SHOW GRANTS FOR todd").json["results"][0]["series"][0].get("values") is None
    )


def test_grants_that_are_given_here_stay_where_tokens_say_nothing_of_them(
    configured: Configured, plain: str
) -> None:
    server = configured(plain)
    token = made.token(KEY, claims())
    assert whoami(server, token).json["grants"] == {}
    server.query("GRANT WRITE ON b TO todd")
    assert whoami(server, token).json["grants"] == {"b": "WRITE"}
    server.query("DROP USER todd")
    assert whoami(server, token).status == 401
    newcomer = made.token(KEY, claims(sub="todd2", name="todd"))
    assert whoami(server, newcomer).json["grants"] == {}


def test_a_token_from_before_drop_user_is_refused_by_each_worker_and_after_a_restart(
    configured_process: Callable[..., ServerProcess], plain: str
) -> None:
    server = configured_process(plain + 'leeway = "0s"', "--workers", "2")
    now = int(time.time())
    tokens = [made.token(KEY, claims(iat=now)), made.token(KEY, claims(iat=now, jti="other"))]
    untimed = made.token(KEY, claims())
    assert {whoami(server, token).status for token in (*tokens, untimed) * 4} == {200}
    server.query("DROP USER todd")
    answers = [whoami(server, token) for token in (*tokens, untimed) * 6]
    assert {(answer.status, answer.error) for answer in answers} == {(401, "invalid token")}
    assert "invalid token: not provably issued after its user was dropped" in server.log()
    server.stop()
    server.start()
    assert {whoami(server, token).status for token in (*tokens, untimed)} == {401}
    assert server.query("SHOW USERS").rows() == [["root", True]]
    later = made.token(KEY, claims(iat=int(time.time()) + 1))
    poll_until(lambda: whoami(server, later).status == 200, "a token from later is not accepted")
    assert whoami(server, tokens[0]).status == 401  # the user that is back is another one


@pytest.mark.parametrize("ahead", [-60, 0, 30])
def test_an_issuers_clock_may_be_ahead_by_leeway_without_bringing_a_dropped_user_back(
    configured: Configured, plain: str, ahead: int
) -> None:
    server = configured(plain)  # with the leeway of 60 s that is the default
    token = made.token(KEY, claims(iat=int(time.time()) + ahead))
    assert whoami(server, token).status == 200
    server.query("DROP USER todd")
    assert whoami(server, token).status == 401


def test_a_refused_token_shows_as_little_of_names_as_it_can(
    configured: Configured, plain: str
) -> None:
    closed = plain.replace("auto-sign-up = true", "auto-sign-up = false")
    server = configured(closed)
    server.query("CREATE USER plain WITH PASSWORD 'x'")

    def answers() -> list[tuple[int, str]]:
        found = [whoami(server, made.token(KEY, claims(sub=name))) for name in names]
        return [(answer.status, answer.error) for answer in found]

    names = ["plain", "root", "no-such-user"]
    assert answers() == [(401, "invalid token")] * 3
    assert "invalid token: its user name belongs to another user" in server.log()


def test_a_user_made_here_is_not_adopted_unless_that_is_set(
    configured: Configured, plain: str
) -> None:
    server = configured(plain)
    server.query("CREATE USER plain WITH PASSWORD 'x'; GRANT ALL ON a TO plain")
    answer = whoami(server, made.token(KEY, claims(sub="plain")))
    assert (answer.status, answer.error) == (403, "the token gives no user here")
    assert "its user name belongs to another user" in server.log()


@pytest.mark.parametrize("prefix", ["", "Bearer%20", "bearer+", "BEARER%20%20"])
def test_a_scheme_in_front_of_a_token_in_the_url_is_removed(
    configured: Configured, plain: str, prefix: str
) -> None:
    server = configured(plain + "url-login = true")
    token = made.token(KEY, claims())
    answer = server.request("GET", f"/api/whoami?auth_token={prefix}{token}")
    assert (answer.status, answer.json["name"]) == (200, "todd")
    assert token not in server.log()


def test_each_issuer_has_its_own_keys_and_its_own_users(
    configured: Configured, plain: str, tmp_path: Path
) -> None:
    (tmp_path / "other.pem").write_text(made.pem(OTHER))
    server = configured(
        f'{plain}expect-claims = \'{{"iss": "https://one"}}\'\n'
        f'[[auth.jwt.issuer]]\niss = "https://two"\nkey-file = "{tmp_path}/other.pem"\n'
        'username-claim = "name"\n'
    )
    one = made.token(KEY, claims(iss="https://one"))
    two = made.token(OTHER, claims(iss="https://two", name="tina"), "ES256")
    assert whoami(server, one).json["name"] == "todd"
    assert whoami(server, two).json["name"] == "tina"
    assert whoami(server, two).json["issuer"] == "https://two"
    crossed = [
        made.token(OTHER, claims(iss="https://one"), "ES256"),
        made.token(KEY, claims(iss="https://two")),
        made.token(KEY, claims(iss="https://three")),
        made.token(KEY, claims()),
    ]
    assert [whoami(server, token).status for token in crossed] == [401] * 4


def test_sighup_reads_again_and_keeps_what_there_was_if_that_is_wrong(
    configured_process: Callable[..., ServerProcess], plain: str, tmp_path: Path
) -> None:
    server = configured_process(plain, "--workers", "2")
    token = made.token(KEY, claims(aud="here"))
    assert whoami(server, token).status == 200
    path = tmp_path / "headgate.toml"

    def said(line: str) -> Callable[[], bool]:
        """Whether both workers have: by answers one would not know which of them gave them."""
        return lambda: server.log().count(line) == 2

    path.write_text(configuration(plain + 'audiences = ["elsewhere"]'))
    server.reload()
    poll_until(
        said("configuration of tokens and gateway read again"), "a worker goes by what was before"
    )
    path.write_text(configuration(plain + "audiences = 1"))
    server.reload()
    complaint = "audiences: expected a list of strings; the former configuration stays in use"
    poll_until(said(complaint), "a worker does not complain")
    assert [whoami(server, token).status for _ in range(20)] == [401] * 20
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    poll_until(lambda: server.log().count("starting another") == 2, "a worker is not replaced")
    # Whoever starts while the file is wrong goes by what was right last, too.
    assert [whoami(server, token).status for _ in range(20)] == [401] * 20


def test_sighup_reads_key_files_again(configured: Configured, plain: str, tmp_path: Path) -> None:
    server = configured(plain)
    renewed = made.key("renewed")
    old, new = made.token(KEY, claims()), made.token(renewed, claims())
    assert [whoami(server, token).status for token in (old, new)] == [200, 401]
    (tmp_path / "key.pem").write_text(made.pem(renewed))
    server.reload()
    poll_until(lambda: whoami(server, new).status == 200, "the new key is not known")
    assert whoami(server, old).status == 401
    assert whoami(server, made.token(KEY, claims(sub="mallory"))).status == 401
    (tmp_path / "key.pem").unlink()
    server.reload()
    poll_until(lambda: "the former configuration stays in use" in server.log(), "nobody complains")
    assert whoami(server, new).status == 200


def test_an_administrator_is_none_by_a_lent_token_that_does_not_say_so(
    configured: Configured, plain: str
) -> None:
    server = configured(
        plain
        + 'grant-sync = "ephemeral"\nrole-attribute-path = "role"\nallow-assign-admin = true\n'
    )
    viewer = made.token(KEY, claims(role="Viewer"))
    admin = made.token(KEY, claims(role="GrafanaAdmin"))
    assert whoami(server, admin).json["admin"] is False  # it is never lent
    server.query("GRANT ALL PRIVILEGES TO todd")
    assert [whoami(server, token).json["admin"] for token in (viewer, admin)] == [False, True]
    asked = {"X-Token": viewer}
    assert server.request("GET", "/query?q=SHOW+USERS", headers=asked).status == 403


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/whoami?auth_token=%ff", {}),
        ("/api/whoami?auth_token=a.%ff.b", {}),
        ("/api/whoami", {"Authorization": "Bearer \xff.\xff.\xff"}),
        ("/api/whoami", {"Authorization": "Bearer a.b.c"}),
        ("/api/whoami?auth_token=" + "x" * 20_000, {}),
    ],
)
def test_what_is_no_token_is_401(
    configured: Configured, plain: str, path: str, headers: dict[str, str]
) -> None:
    top = f'[http]\nshared-secret = "{"s" * 40}"'
    text = plain + 'url-login = true\nmax-token-age = "1h"\n'
    server = configured(text, top=top)
    assert server.request("GET", path, headers=headers).status == 401


def test_a_shared_secret_takes_the_place_of_another_without_a_break(
    configured: Configured, plain: str, tmp_path: Path
) -> None:
    secrets = [f"{name:-<40}" for name in ("old", "new", "never")]
    path = tmp_path / "secrets"
    path.write_text("\n".join(secrets[:2]) + "\n")
    server = configured(plain, top=f'[http]\nshared-secret-file = "{path}"')
    server.query("CREATE USER app WITH PASSWORD 'x'")

    def statuses() -> list[int]:
        tokens = [
            made.token(text.encode(), {"username": "app", "exp": time.time() + 60}, "HS256")
            for text in secrets
        ]
        return [
            server.request(
                "GET", "/api/whoami", headers={"Authorization": f"Bearer {token}"}
            ).status
            for token in tokens
        ]

    assert statuses() == [200, 200, 401]
    path.write_text(secrets[1])
    server.reload()
    poll_until(lambda: statuses() == [401, 200, 401], "the old secret is still good")


def test_what_a_token_changes_is_in_the_audit(configured: Configured, plain: str) -> None:
    server = configured(plain + 'role-attribute-path = "role"\nauto-assign-databases = ["a"]')
    good = made.token(KEY, claims(iss="https://idp", role="Viewer"))
    assert whoami(server, good).status == 200
    assert whoami(server, made.token(KEY, claims(exp=1))).status == 401
    assert whoami(server, "x.y.z").status == 401

    def lines() -> list[dict[str, Any]]:
        done = run_headgate("audit", "--store", str(server.store), "--json", check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    poll_until(lambda: len(lines()) >= 5, "the refused are not there yet")
    found = [(it["actor"], it["statement"], it["outcome"]) for it in lines()][-3:]
    created = "CREATE USER todd -- no password; GRANT READ ON a TO todd"
    assert ("jwt https://idp todd", created, "ok") in found
    assert ("", "-- login (jwt)", "invalid token: exp is past") in found
    assert ("", "-- login (jwt)", "invalid token: invalid base64url") in found


def tool(*arguments: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
    done = run_headgate("token", *arguments, stdin=stdin, environment=os.environ | environment)
    return done.returncode, done.stdout, done.stderr


def test_a_minted_token_logs_in(serve: Callable[..., Server], tmp_path: Path) -> None:
    secret = "s" * 40
    server = serve(HEADGATE_HTTP_SHARED_SECRET=secret).bootstrap(
        "CREATE USER app WITH PASSWORD 'x'"
    )
    minting = ("mint", "-username", "app", "-exp", "5m", "--algorithm", "HS512")
    status, token, _ = tool(*minting, HEADGATE_HTTP_SHARED_SECRET=secret)
    assert status == 0
    bearer = {"Authorization": f"Bearer {token.strip()}"}
    assert server.request("GET", "/api/whoami", headers=bearer).json["method"] == "shared-secret"
    store = ("--store", str(server.store))
    status, said, _ = tool("check", "-", *store, stdin=token, HEADGATE_HTTP_SHARED_SECRET=secret)
    assert status == 0 and "user           app\n" in said and secret not in said
    status, said, _ = tool("check", "-", *store, stdin=token, HEADGATE_HTTP_SHARED_SECRET="t" * 40)
    assert status == 1 and "token          failed: signature is invalid\n" in said
    assert tool(*minting)[::2] == (1, "headgate: no shared-secret is configured to sign it with\n")


@pytest.mark.parametrize(
    ("changes", "answer", "line"),
    [
        ({}, 200, "grants         a READ"),
        ({"exp": 1}, 401, "exp            failed: exp is past"),
        ({"aud": "there"}, 401, "audiences      failed: aud is not one of audiences"),
        ({"role": "?"}, 403, "rights         failed: the token has no role here"),
        ({"sub": "root"}, 403, "user           failed: its user name belongs to another user"),
        ({"exp": "soon"}, 401, "types          failed: exp is not a number"),
        ({"iss": "a\u0085b"}, 401, "rights         failed: iss is too long, or not printable"),
        ({"sub": ""}, 401, "sub            failed: no sub"),
    ],
)
def test_the_tool_says_what_becomes_of_a_token_and_why(
    configured: Configured,
    plain: str,
    tmp_path: Path,
    changes: dict[str, Any],
    answer: int,
    line: str,
) -> None:
    server = configured(
        plain + 'audiences = ["here"]\nrole-attribute-path = "role"\nrole-attribute-strict = true\n'
        'auto-assign-databases = ["a"]\n'
    )
    token = made.token(KEY, claims(aud="here", role="Viewer") | changes)
    arguments = ("--config", str(tmp_path / "headgate.toml"), "--store", str(server.store))
    found, said, complaint = tool("check", token, *arguments)
    assert (found, complaint) == (0 if answer == 200 else 1, "")
    assert line in said.splitlines() and "signature      ok, key without kid, RS256" in said
    # The tool only looks.
    assert server.query("SHOW USERS").rows() == [["root", True]]
    assert whoami(server, token).status == answer
