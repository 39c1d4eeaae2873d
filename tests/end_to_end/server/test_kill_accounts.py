"""kill -9 in the middle of keys and sessions: what was acknowledged holds, what ended is over."""

import os
import threading
from collections.abc import Callable
from functools import partial
from http.client import HTTPException

from support.account_requests import cookie_of, send
from support.server_process import ServerProcess
from support.servers import ROOT
from support.waiting import poll_until

# `HEADGATE_TEST_KILLS=100 pytest FILE` kills as often.
KILLS = int(os.environ.get("HEADGATE_TEST_KILLS", "3"))
_MAX_CHECKED = 40


class Writer:
    """Makes keys and sessions, and ends every second one; notes what was acknowledged."""

    def __init__(self, server: ServerProcess, number: int) -> None:
        self.server, self.number = server, number
        self.made = 0
        self.valid: dict[str, str] = {}  # texts of keys and tokens: "key" or "session"
        self.ended: dict[str, str] = {}

    def run(self) -> None:
        """Until the server does not answer any more."""
        try:
            while True:
                self.step()
                self.made += 1
        except (OSError, HTTPException):
            return

    def step(self) -> None:
        name = f"w{self.number}_{self.made}"
        answer = send(self.server, "POST", "/api/keys", {"name": name, "ttlSeconds": 3600})
        assert answer.status == 201, answer.body
        self.end(answer.json["key"], "key", f"/api/keys/{answer.json['id']}")
        answer = send(self.server, "POST", "/api/session", None, ROOT)
        assert answer.status == 200, answer.body
        session = answer.json["session"]
        path = f"/api/users/{session['user_id']}/sessions/{session['id']}"
        self.end(cookie_of(answer), "session", path)

    def end(self, text: str, kind: str, path: str) -> None:
        """Notes *text*, and ends it by *path* if it is a second one."""
        self.server.secrets.add(text)
        if self.made % 2 == 0:
            self.valid[text] = kind
            return
        answer = send(self.server, "DELETE", path)  # not noted before: it may end, or not
        assert answer.status == 204, answer.body
        self.ended[text] = kind


def have_made(writers: list[Writer], goal: int) -> bool:
    return sum(writer.made for writer in writers) >= goal


def status(server: ServerProcess, text: str, kind: str) -> int:
    if kind == "session":
        return send(server, "GET", "/api/whoami", cookie=text).status
    return send(server, "GET", "/api/whoami", None, text).status


def test_after_kill_9_keys_and_sessions_are_as_acknowledged(
    serve_process: Callable[..., ServerProcess],
) -> None:
    server = serve_process("--workers", "2", HEADGATE_AUTH_MAX_KEYS_PER_USER="100000").bootstrap()
    writers = [Writer(server, number) for number in range(3)]
    for number in range(KILLS):
        threads = [threading.Thread(target=writer.run) for writer in writers]
        goal = sum(writer.made for writer in writers) + 4 + number % 5
        for thread in threads:
            thread.start()
        poll_until(partial(have_made, writers, goal), "nothing is made")
        server.kill()
        for thread in threads:
            thread.join()
        server.start()
        for writer in writers:
            writer.made += 2  # the name of an unacknowledged key may be taken
            for texts, expected in ((writer.valid, 200), (writer.ended, 401)):
                for text, kind in list(texts.items())[-_MAX_CHECKED:]:
                    assert status(server, text, kind) == expected, (kind, expected)
    valid, ended = (sum(len(getattr(it, of)) for it in writers) for of in ("valid", "ended"))
    print(f"{KILLS} kills of 2 workers: {valid} keys and sessions valid, {ended} ended, 0 wrong")
    assert valid > KILLS
