"""Requests with tokens of issuers other than the shared secret: grants, keys, rejected tokens."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import made_tokens as made
from support.issuer_fixtures import claims, issuer_key, whoami
from support.servers import Server
from support.waiting import poll_until

KEY = issuer_key()
OTHER = made.key("other", "EC", "P-256")


def test_grants_can_be_lent_for_a_request_alone(
    serve_with_jwt: Callable[..., Server], jwt_settings: str
) -> None:
    server = serve_with_jwt(
        jwt_settings + 'grant-sync = "ephemeral"\ngrants-attribute-path = "dbs"'
    )
    reader = made.token(KEY, claims(dbs={"a": "READ"}))
    assert whoami(server, reader).json["grants"] == {"a": "READ"}
    listed = server.request("GET", "/query?q=SHOW+DATABASES", headers={"X-Token": reader})
    assert listed.rows() == [["a"]]
    writer = made.token(KEY, claims(dbs=[{"database": "b", "privilege": "WRITE"}]))
    assert whoami(server, writer).json["grants"] == {"b": "WRITE"}
    assert (
        server.query("SHOW GRANTS FOR todd").json["results"][0]["series"][0].get("values") is None
    )


@pytest.mark.slow
def test_a_cached_answer_belongs_to_the_rights_of_its_token_alone(
    serve_with_jwt: Callable[..., Server], jwt_settings: str
) -> None:
    server = serve_with_jwt(
        jwt_settings + 'grant-sync = "ephemeral"\ngrants-attribute-path = "dbs"',
        top="[auth]\nexternal-passwords = true\n",
    )
    tokens = {name: made.token(KEY, claims(dbs={name: "READ"})) for name in ("a", "b")}
    assert all(whoami(server, token).status == 200 for token in tokens.values())
    server.query("SET PASSWORD FOR todd = 'Todd-1'; GRANT READ ON b TO todd")
    for _ in range(5):  # an equal query is cached from its third time on
        for name, token in tokens.items():
            listed = server.request("GET", "/query?q=SHOW+DATABASES", headers={"X-Token": token})
            assert listed.rows() == [[name]]
            read = "/query?db=a&q=SHOW+GRANTS+FOR+root"
            assert server.request("GET", read, headers={"X-Token": token}).status == 403
        stored = server.request("GET", "/query?q=SHOW+DATABASES", basic=("todd", "Todd-1"))
        assert stored.rows() == [["b"]]


def test_grants_that_are_given_here_stay_where_tokens_say_nothing_of_them(
    serve_with_jwt: Callable[..., Server], jwt_settings: str
) -> None:
    server = serve_with_jwt(jwt_settings)
    token = made.token(KEY, claims())
    assert whoami(server, token).json["grants"] == {}
    server.query("GRANT WRITE ON b TO todd")
    assert whoami(server, token).json["grants"] == {"b": "WRITE"}
    server.query("DROP USER todd")
    assert whoami(server, token).status == 401
    newcomer = made.token(KEY, claims(sub="todd2", name="todd"))
    assert whoami(server, newcomer).json["grants"] == {}


@pytest.mark.parametrize("ahead", [-60, 0, 30])
def test_an_issuers_clock_may_be_ahead_by_leeway_without_bringing_a_dropped_user_back(
    serve_with_jwt: Callable[..., Server], jwt_settings: str, ahead: int
) -> None:
    server = serve_with_jwt(jwt_settings)  # with the leeway of 60 s that is the default
    token = made.token(KEY, claims(iat=int(time.time()) + ahead))
    assert whoami(server, token).status == 200
    server.query("DROP USER todd")
    assert whoami(server, token).status == 401


def test_a_refused_token_shows_as_little_of_names_as_it_can(
    serve_with_jwt: Callable[..., Server], jwt_settings: str
) -> None:
    closed = jwt_settings.replace("auto-sign-up = true", "auto-sign-up = false")
    server = serve_with_jwt(closed)
    server.query("CREATE USER plain WITH PASSWORD 'x'")

    def answers() -> list[tuple[int, str]]:
        found = [whoami(server, made.token(KEY, claims(sub=name))) for name in names]
        return [(answer.status, answer.error) for answer in found]

    names = ["plain", "root", "no-such-user"]
    assert answers() == [(401, "invalid token")] * 3
    assert "invalid token: its user name belongs to another user" in server.log()


def test_a_user_made_here_is_not_adopted_unless_that_is_set(
    serve_with_jwt: Callable[..., Server], jwt_settings: str
) -> None:
    server = serve_with_jwt(jwt_settings)
    server.query("CREATE USER plain WITH PASSWORD 'x'; GRANT ALL ON a TO plain")
    answer = whoami(server, made.token(KEY, claims(sub="plain")))
    assert (answer.status, answer.error) == (403, "the token gives no user here")
    assert "its user name belongs to another user" in server.log()


@pytest.mark.parametrize("prefix", ["", "Bearer%20", "bearer+", "BEARER%20%20"])
def test_a_scheme_in_front_of_a_token_in_the_url_is_removed(
    serve_with_jwt: Callable[..., Server], jwt_settings: str, prefix: str
) -> None:
    server = serve_with_jwt(jwt_settings + "url-login = true")
    token = made.token(KEY, claims())
    answer = server.request("GET", f"/api/whoami?auth_token={prefix}{token}")
    assert (answer.status, answer.json["name"]) == (200, "todd")
    assert token not in server.log()


def test_each_issuer_has_its_own_keys_and_its_own_users(
    serve_with_jwt: Callable[..., Server], jwt_settings: str, tmp_path: Path
) -> None:
    (tmp_path / "other.pem").write_text(made.pem(OTHER))
    server = serve_with_jwt(
        f'{jwt_settings}expect-claims = \'{{"iss": "https://one"}}\'\n'
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


@pytest.mark.slow
def test_sighup_reads_key_files_again(
    serve_with_jwt: Callable[..., Server], jwt_settings: str, tmp_path: Path
) -> None:
    server = serve_with_jwt(jwt_settings)
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
    poll_until(lambda: "the former configuration stays in use" in server.log(), "no complaint")
    assert whoami(server, new).status == 200


def test_an_administrator_is_none_by_a_lent_token_that_does_not_say_so(
    serve_with_jwt: Callable[..., Server], jwt_settings: str
) -> None:
    server = serve_with_jwt(
        jwt_settings
        + 'grant-sync = "ephemeral"\nrole-attribute-path = "role"\nallow-assign-admin = true\n'
    )
    viewer = made.token(KEY, claims(role="Viewer"))
    admin = made.token(KEY, claims(role="GrafanaAdmin"))
    assert whoami(server, admin).json["admin"] is False  # ephemeral grants exclude admin
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
    serve_with_jwt: Callable[..., Server], jwt_settings: str, path: str, headers: dict[str, str]
) -> None:
    top = f'[http]\nshared-secret = "{"s" * 40}"'
    text = jwt_settings + 'url-login = true\nmax-token-age = "1h"\n'
    server = serve_with_jwt(text, top=top)
    assert server.request("GET", path, headers=headers).status == 401


def test_a_shared_secret_takes_the_place_of_another_without_a_break(
    serve_with_jwt: Callable[..., Server], jwt_settings: str, tmp_path: Path
) -> None:
    secrets = [f"{name:-<40}" for name in ("old", "new", "never")]
    path = tmp_path / "secrets"
    path.write_text("\n".join(secrets[:2]) + "\n")
    server = serve_with_jwt(jwt_settings, top=f'[http]\nshared-secret-file = "{path}"')
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
