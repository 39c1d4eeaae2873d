"""Tokens of other issuers: several workers, SIGHUP, the audit, and `headgate token`."""

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support import made_tokens as made
from support.issuer_fixtures import claims, issuer_key, jwt_configuration, start_with_jwt, whoami
from support.programs_of_ours import run_headgate
from support.server_process import ServerProcess
from support.servers import Server
from support.waiting import poll_until

KEY = issuer_key()


@pytest.fixture
def serve_process_with_jwt(
    serve_process: Callable[..., ServerProcess], tmp_path: Path
) -> Callable[..., ServerProcess]:
    return partial(start_with_jwt, serve_process, tmp_path)


def test_a_token_from_before_drop_user_is_refused_by_each_worker_and_after_a_restart(
    serve_process_with_jwt: Callable[..., ServerProcess], jwt_settings: str
) -> None:
    server = serve_process_with_jwt(jwt_settings + 'leeway = "0s"', "--workers", "2")
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
    assert whoami(server, tokens[0]).status == 401  # the user created again is a new user


def test_sighup_reads_again_and_keeps_what_there_was_if_that_is_wrong(
    serve_process_with_jwt: Callable[..., ServerProcess], jwt_settings: str, tmp_path: Path
) -> None:
    server = serve_process_with_jwt(jwt_settings, "--workers", "2")
    token = made.token(KEY, claims(aud="here"))
    assert whoami(server, token).status == 200
    path = tmp_path / "headgate.toml"

    def said(line: str) -> Callable[[], bool]:
        """Checks the log for both workers: answers do not show which worker sent them."""
        return lambda: server.log().count(line) == 2

    path.write_text(jwt_configuration(jwt_settings + 'audiences = ["elsewhere"]'))
    server.reload()
    poll_until(
        said("configuration of tokens and gateway read again"), "a worker goes by what was before"
    )
    path.write_text(jwt_configuration(jwt_settings + "audiences = 1"))
    server.reload()
    complaint = "audiences: expected a list of strings; the former configuration stays in use"
    poll_until(said(complaint), "a worker does not complain")
    assert [whoami(server, token).status for _ in range(20)] == [401] * 20
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    poll_until(lambda: server.log().count("starting another") == 2, "a worker is not replaced")
    # A worker that starts while the file is invalid uses the last valid configuration.
    assert [whoami(server, token).status for _ in range(20)] == [401] * 20


def test_what_a_token_changes_is_in_the_audit(
    serve_with_jwt: Callable[..., Server], jwt_settings: str
) -> None:
    server = serve_with_jwt(
        jwt_settings + 'role-attribute-path = "role"\nauto-assign-databases = ["a"]'
    )
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
    serve_with_jwt: Callable[..., Server],
    jwt_settings: str,
    tmp_path: Path,
    changes: dict[str, Any],
    answer: int,
    line: str,
) -> None:
    server = serve_with_jwt(
        jwt_settings
        + 'audiences = ["here"]\nrole-attribute-path = "role"\nrole-attribute-strict = true\n'
        'auto-assign-databases = ["a"]\n'
    )
    token = made.token(KEY, claims(aud="here", role="Viewer") | changes)
    arguments = ("--config", str(tmp_path / "headgate.toml"), "--store", str(server.store))
    found, said, complaint = tool("check", token, *arguments)
    assert (found, complaint) == (0 if answer == 200 else 1, "")
    assert line in said.splitlines() and "signature      ok, key without kid, RS256" in said
    # The tool only reads.
    assert server.query("SHOW USERS").rows() == [["root", True]]
    assert whoami(server, token).status == answer
