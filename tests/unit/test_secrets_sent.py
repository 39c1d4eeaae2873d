"""Tests `sent_secrets.py`: its search finds a secret that a server wrote to its log."""

import json
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from support.sent_secrets import leaks, shown

BASIC = "Basic " + b64encode(b"u:pa55word").decode()


@pytest.mark.parametrize(
    ("target", "body", "authorization", "secrets"),
    [
        ("/query?u=todd&p=s3cret", "", "", {"s3cret"}),
        ("/query", "q=" + quote("CREATE USER u WITH PASSWORD 'pa55word'"), "", {"pa55word"}),
        ("/query", "q=" + quote("SET PASSWORD FOR u = 'pa55word'"), "", {"pa55word"}),
        ("/query?q=" + quote("CREATE USR u WITH PASSWORD 'pa55word'"), "", "", {"pa55word"}),
        ("/ping", "", "Bearer a.b-c.d", {"a.b-c.d"}),
        ("/ping", "", "Token u:pa55word", {"u:pa55word", "pa55word"}),
        (
            "/ping",
            "",
            "Basic " + b64encode(b"u:pa55word").decode(),
            {"pa55word", "dTpwYTU1d29yZA=="},
        ),
        ("/query", "q=SHOW+USERS", "", set()),
    ],
)
def test_secrets_are_known_wherever_they_are_sent(
    target: str, body: str, authorization: str, secrets: set[str]
) -> None:
    headers = [("Authorization", authorization)] if authorization else []
    assert shown(target, body.encode(), headers) == secrets


def test_a_secret_in_a_log_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.secrets").write_text(json.dumps(["s3cret"]))
    (tmp_path / "a.log").write_text("nothing\n")
    assert leaks(tmp_path) == []
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / "b.log").write_text("user=s3cret asked, and p=0ther too\n")
    (deep / "b.secrets").write_text(json.dumps(["0ther-1", "p=0ther"]))
    assert leaks(tmp_path) == ["b.log holds 'p=0ther'"]
    (deep / "b.log").unlink()  # else the search after all tests would fail
