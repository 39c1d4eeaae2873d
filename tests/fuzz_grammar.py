"""The same texts to our parser and to a real influxd: do they agree, and in the same words?

    python tests/fuzz_grammar.py [N [SEED]]

The server's user has no rights, so a text that parses is refused with the canonical text of its
first statement, and nothing is executed.
"""

import http.client
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

from harness import free_port, poll_until
from headgate_grammar import ParseError, parse
from statements_at_random import Statements, mutated

CONFIGURATION = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = true
  log-enabled = false
[logging]
  level = "error"
"""

# Where we disagree on purpose, by name: what such a text looks like.
MENDS = {
    "NUL is no end": re.compile("\0"),
    "a word does not swallow a quoted name": re.compile(r"""[A-Za-z_]\w*"|\$"""),
    "a comment may stand before a regular expression": re.compile(r"/\*|--"),
    "EXPLAIN ANALYZE VERBOSE": re.compile(r"(?i)verbose"),
    "a dot needs a name behind it": re.compile(r"\.\s*:"),
    "a blank may stand before a comma in GROUP BY": re.compile(r"/\s+,"),
}

# The same for the canonical text: where InfluxDB's cannot be read again, or means something else.
PRINTED = {
    "an empty name is printed": re.compile(r'""'),
    "the name behind DISTINCT is quoted where it must be": re.compile(r'(?i)distinct\s*"'),
    "the database of SHOW MEASUREMENTS is quoted where it must be": re.compile(
        r"(?i)measurements\s+on"
    ),
    "all digits of a number are printed": re.compile(r"\d\.\d{4}"),
    "a fraction of a second is printed so that it can be read": re.compile(
        r"(?i)create\s+database"
    ),
    "a negated operand keeps its own": re.compile(r"[*/%&]\s*[-+]"),
}


class Influxd:
    """A real influxd with authentication and a user without rights."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="influxd-")
        self.port = free_port()
        path = Path(self.folder, "influxdb.conf")
        path.write_text(CONFIGURATION.format(folder=self.folder, port=self.port, rpc=free_port()))
        self.process = subprocess.Popen(
            ["influxd", "-config", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def __enter__(self) -> Self:
        poll_until(self._answers, "influxd did not start")
        self.ask("CREATE USER root WITH PASSWORD 'x' WITH ALL PRIVILEGES", None)
        self.ask("CREATE USER bob WITH PASSWORD 'b'", "root:x")
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            self.ask("SHOW USERS", None)
        except OSError:
            self.connection.close()
            return False
        return True

    def ask(self, text: str, login: str | None) -> tuple[int, str]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if login is not None:
            headers["Authorization"] = "Basic " + b64encode(login.encode()).decode()
        self.connection.request("POST", "/query", urlencode({"q": text}).encode(), headers)
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        return response.status, str(answer.get("error", ""))

    def parse(self, text: str) -> tuple[str, str]:
        """The parse error of *text*, and else the canonical text of a statement if it shows one."""
        status, error = self.ask(text, "bob:b")
        if status == 400:
            return error.removeprefix("error parsing query: "), ""
        shown = re.search(r"(?s)execute statement '(.*)', requires ", error)
        return "", shown[1] if shown else ""


@dataclass
class Report:
    """What came out: how many texts, and those on which we disagree."""

    texts: int = 0
    refused: int = 0
    verdicts: list[tuple[str, str, str]] = field(default_factory=list)
    messages: list[tuple[str, str, str]] = field(default_factory=list)
    printed: list[tuple[str, str, str]] = field(default_factory=list)
    mended: dict[str, int] = field(default_factory=dict)

    def show(self, most: int = 15) -> None:
        agreed = self.texts - len(self.verdicts)
        same = self.refused - len(self.messages)
        print(f"{self.texts} texts, {self.refused} refused by both")
        print(f"accept or refuse: {100 * agreed / self.texts:.3f} % agree")
        print(f"error text and position: {100 * same / max(self.refused, 1):.2f} % equal")
        print(f"canonical text: {len(self.printed)} differ")
        for name, count in self.mended.items():
            print(f"  on purpose, {count}: {name}")
        for title in ("verdicts", "messages", "printed"):
            rows = sorted(getattr(self, title), key=lambda row: len(row[0]))
            for text, theirs, ours in rows[:most]:
                print(f"{title}: {text!r}\n    influxd:  {theirs}\n    headgate: {ours}")


def compare(influxd: Influxd, count: int, seed: int) -> Report:
    """Sends *count* texts, half of them with mistakes, to both."""
    statements = Statements(seed)
    chance = random.Random(seed)
    report = Report()
    for _ in range(count):
        text = statements.statement()
        if chance.random() < 0.5:
            text = mutated(text, chance)
        text = text.strip()
        if text:
            _compare(influxd, text, report)
    return report


def _compare(influxd: Influxd, text: str, report: Report) -> None:
    report.texts += 1
    theirs, canonical = influxd.parse(text)
    try:
        ours, statements = "", parse(text)
    except ParseError as error:
        ours, statements = str(error), ()
    if bool(theirs) != bool(ours):
        for name, shape in MENDS.items():
            if shape.search(text):
                report.mended[name] = report.mended.get(name, 0) + 1
                return
        report.verdicts.append((text, theirs or "accepted", ours or "accepted"))
    elif theirs:
        report.refused += 1
        if theirs != ours and not any(shape.search(text) for shape in MENDS.values()):
            report.messages.append((text, theirs, ours))
    elif canonical and canonical not in [str(statement) for statement in statements]:
        for name, shape in PRINTED.items():
            if shape.search(text):
                report.mended[name] = report.mended.get(name, 0) + 1
                return
        report.printed.append((text, canonical, "; ".join(map(str, statements))))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with Influxd() as influxd:
        compare(influxd, count, seed).show()


if __name__ == "__main__":
    main()
