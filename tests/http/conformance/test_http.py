"""Replays requests with recorded answers of InfluxDB; Headgate has to answer the same bytes.

Each file in `http` is a theme, and each of its scenarios runs on a new server. A step is a request
and the whole response. `token` describes a JSON Web Token for the request; its claims may contain
`{now+60}`. Steps marked `mended` differ on purpose from the recorded answer: docs/differences.md
lists the reasons.
"""

import base64
import gzip
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from support.places import RECORDED
from support.servers import Answer, Server
from support.waiting import poll_until

FOLDER = RECORDED / "http"
STRICT = (
    *("Content-Type", "Content-Encoding", "WWW-Authenticate", "X-Influxdb-Error", "Allow"),
    *("Location", "X-Content-Type-Options", "Access-Control-Allow-Origin"),
    *("Access-Control-Allow-Methods", "Access-Control-Allow-Headers"),
    *("Access-Control-Expose-Headers", "Access-Control-Allow-Credentials"),
)


def scenarios() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.json")):
        for scenario in json.loads(path.read_text())["scenarios"]:
            yield pytest.param(scenario, id=f"{path.stem[:2]}-{scenario['name']}")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", list(scenarios()))
def test_it_answers_as_recorded(serve: Callable[..., Server], scenario: dict[str, Any]) -> None:
    # Some scenarios drop the last administrator, which InfluxDB allows. One has a statement that
    # only InfluxDB 1.12 accepts.
    dialect = "1.8" if scenario["name"] == "parse_other_statements" else ""
    options = {"HEADGATE_AUTH_KEEP_LAST_ADMIN": "false", "HEADGATE_HTTP_DIALECT": dialect}
    server = serve(*scenario["flags"], **options)
    for step in scenario["steps"]:
        if step.get("action") == "restart":
            server.stop()
            server.start()
            continue
        if step.get("retry"):  # the result of a query that may still be running
            poll_until(partial(answers, server, step), step["id"], 10)
        assert played(server, step) == step["answer"], step["id"]


def test_no_theme_is_missing() -> None:
    files = sorted(path.stem[:2] for path in FOLDER.glob("*.json"))
    assert files == [f"{number:02}" for number in range(1, 22)]
    steps = [step for scenario in scenarios() for step in scenario.values[0]["steps"]]
    assert sum("answer" in step and step["id"][:5] != "setup" for step in steps) == 2053
    assert sum(step.get("mended", False) for step in steps) == 32


def answers(server: Server, step: dict[str, Any]) -> bool:
    return bool(played(server, step) == step["answer"])


def played(server: Server, step: dict[str, Any]) -> dict[str, Any]:
    """Sends the request of *step*. Returns the answer in the format of the files."""
    method, target = step["request"].split(" ", 1)
    headers = [(name, value) for name, value in step.get("headers", ())]
    if "token" in step:
        headers.append(("Authorization", step["token"].get("prefix", "Bearer ") + token(step)))
    body = step["body"].encode() if "body" in step else None
    if "body_base64" in step:
        body = base64.b64decode(step["body_base64"])
    answer = server.request(method, target, body, headers)
    asked = {name.lower(): value for name, value in headers}
    if answer.status not in (404, 405) or "X-Request-Id" in answer.headers:
        check_ids(answer, asked)
    assert answer.headers["X-Influxdb-Version"] and answer.headers["X-Influxdb-Build"] == "Headgate"
    found: dict[str, Any] = {"status": answer.status}
    strict = {name: text(", ".join(answer.headers.get_all(name) or ())) for name in STRICT}
    strict = {name: value for name, value in strict.items() if name in answer.headers}
    content = answer.body
    if strict.get("Content-Encoding") == "gzip":
        content = gzip.decompress(content)
    if strict:
        found["headers"] = strict
    if content:
        try:
            found["body"] = content.decode()
        except UnicodeDecodeError:
            found["body_base64"] = base64.b64encode(content).decode()
    return found


def text(value: str) -> str:
    """Decodes a header as UTF-8. It may end in the middle of a character."""
    return value.encode("latin-1").decode("utf-8", "backslashreplace")


def check_ids(answer: Answer, asked: dict[str, str]) -> None:
    wanted = asked.get("x-request-id") or asked.get("request-id")
    ids = {answer.headers["Request-Id"], answer.headers["X-Request-Id"]}
    assert ids == {wanted} if wanted else len(ids) == 1 and len(ids.pop()) == 36


def token(step: dict[str, Any]) -> str:
    parts = step["token"]

    def coded(content: str) -> str:
        now = int(time.time())
        content = re.sub(r"\{now([+-]\d+)\}", lambda m: str(now + int(m[1])), content)
        return url_base64(content.encode())

    signed = f"{coded(parts['header'])}.{coded(parts['claims'])}"
    signature = parts.get("signature")
    if signature is None:
        hash = getattr(hashlib, "sha" + parts["hmac"][2:])
        digest = hmac.new(parts["secret"].encode(), signed.encode(), hash).digest()
        signature = url_base64(digest)
    if parts.get("flip"):
        signature = ("B" if signature[0] == "A" else "A") + signature[1:]
    header, claims = signed.split(".")
    header = coded(parts["sent_header"]) if "sent_header" in parts else header
    claims = coded(parts["sent_claims"]) if "sent_claims" in parts else claims
    return f"{header}.{claims}.{signature}"


def url_base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
