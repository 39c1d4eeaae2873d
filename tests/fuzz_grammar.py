"""Compares Headgate's parser with a real influxd on random texts: verdicts and error messages.

    python tests/fuzz_grammar.py [N [SEED]]

The user on the server has no privileges. A text that parses is therefore refused with an error that
quotes the canonical text of its first statement, and nothing is executed.
"""

import http.client
import json
import random
import re
import sys
import tempfile
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from headgate_grammar import ParseError, parse
from support.influxd import Influxd
from support.random_statements import Statements, mutated

# Intended differences of the verdict: a name, and a pattern of the texts concerned.
MENDS = {
    "NUL is no end": re.compile("\0"),
    "a word does not swallow a quoted name": re.compile(r"""[A-Za-z_]\w*"|\$"""),
    "a comment may stand before a regular expression": re.compile(r"/\*|--"),
    "EXPLAIN ANALYZE VERBOSE": re.compile(r"(?i)verbose"),
    "a dot needs a name behind it": re.compile(r"\.\s*:"),
    "a blank may stand before a comma in GROUP BY": re.compile(r"/\s+,"),
}

# Intended differences of the canonical text: InfluxDB's does not parse, or has another meaning.
PRINTED = {
    "a word that 1.12 reserves is printed in quotes": re.compile("future|past|verbose", re.I),
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


class Judge:
    """A real influxd, queried as a user without privileges, so that it executes no statement."""

    def __init__(self, influxd: Influxd) -> None:
        influxd.query("CREATE USER root WITH PASSWORD 'x' WITH ALL PRIVILEGES", None)
        influxd.query("CREATE USER bob WITH PASSWORD 'b'", ("root", "x"))
        self._connection = http.client.HTTPConnection("127.0.0.1", influxd.port, timeout=30)

    def _ask(self, text: str) -> tuple[int, str]:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": "Basic " + b64encode(b"bob:b").decode(),
        }
        self._connection.request("POST", "/query", urlencode({"q": text}).encode(), headers)
        response = self._connection.getresponse()
        return response.status, str(json.loads(response.read()).get("error", ""))

    def parse(self, text: str) -> tuple[str, str]:
        """Returns the parse error and the canonical text of *text*, each empty if there is none."""
        status, error = self._ask(text)
        if status == 400:
            return error.removeprefix("error parsing query: "), ""
        shown = re.search(r"(?s)execute statement '(.*)', requires ", error)
        return "", shown[1] if shown else ""

    def close(self) -> None:
        self._connection.close()


@dataclass
class Report:
    """The result of a comparison: numbers of texts, and the texts with a difference."""

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


def compare(judge: Judge, count: int, seed: int) -> Report:
    """Parses *count* texts, half of them with mistakes, with both parsers."""
    statements = Statements(seed)
    chance = random.Random(seed)
    report = Report()
    for _ in range(count):
        text = statements.statement()
        if chance.random() < 0.5:
            text = mutated(text, chance)
        text = text.strip()
        if text:
            _compare(judge, text, report)
    return report


def _compare(judge: Judge, text: str, report: Report) -> None:
    report.texts += 1
    theirs, canonical = judge.parse(text)
    try:
        ours, statements = "", parse(text, dialect="1.8")
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
    with tempfile.TemporaryDirectory() as folder, Influxd(Path(folder)) as influxd:
        with closing(Judge(influxd)) as judge:
            compare(judge, count, seed).show()


if __name__ == "__main__":
    main()
