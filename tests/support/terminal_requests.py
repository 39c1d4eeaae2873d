"""Requests of a terminal that signs a person in, by a code on another device or by a browser."""

import hashlib
import re
from base64 import urlsafe_b64encode
from typing import Any

from support.account_requests import send
from support.audit_records import audit_records
from support.console_requests import page_text
from support.local_server import LocalServer
from support.servers import Answer
from support.waiting import poll_until

VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
TERMINAL = f"terminal=43210&challenge={CHALLENGE}"


def post(server: LocalServer, path: str, content: Any, **headers: str) -> Answer:
    """Sends *content* as a program without a login does."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(server, "POST", path, content, None, headers=named)


def device(server: LocalServer, content: Any = None, **headers: str) -> Answer:
    return post(server, "/api/session/device", content or {}, **headers)


def redeem(server: LocalServer, code: str, verifier: str = VERIFIER) -> Answer:
    return post(server, "/api/session/code", {"code": code, "verifier": verifier})


def reason(server: LocalServer, statement: str) -> str:
    """Returns the reason in the last audit record of the denied *statement*."""
    found: list[str] = []

    def is_recorded() -> bool:
        records = audit_records(server)
        found[:] = [record.outcome for record in records if record.statement == statement]
        return bool(found)

    poll_until(is_recorded, "the refusal is not in the audit")
    return found[-1]


def question_in(page: Answer) -> str:
    """Returns the hidden value of the question on *page*."""
    found = re.search(r'name="grant" value="([^"]+)"', page_text(page))
    assert found is not None, page.body
    return found[1]


def led_to(answer: Answer) -> str:
    """Returns the URL that the page *answer* leads to."""
    assert answer.status == 200, answer.body
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page_text(answer))
    assert found is not None, answer.body
    return found[1]
