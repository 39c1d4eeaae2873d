"""Measures loading, parsing and the parse cache of the grammar, and how they scale with length."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

STATEMENTS = [
    "SHOW DATABASES",
    "SHOW GRANTS FOR todd",
    "CREATE USER todd WITH PASSWORD 's3cret'",
    "GRANT READ ON telegraf TO todd",
    "CREATE DATABASE telegraf WITH DURATION 30d REPLICATION 1 NAME month",
    "SHOW MEASUREMENTS ON telegraf WITH MEASUREMENT =~ /cpu.*/ LIMIT 10",
    'SHOW TAG VALUES FROM "cpu" WITH KEY = "host" WHERE time > now() - 1h',
    "SELECT usage_idle FROM cpu WHERE host = 'a' LIMIT 5",
    'SELECT mean("usage_idle") FROM "telegraf"."autogen"."cpu" WHERE time > now() - 6h AND'
    ' "host" =~ /^(a|b)$/ GROUP BY time(10s), "host" fill(null)',
    "SELECT max(x) FROM (SELECT sum(a) / sum(b) * 100 AS x FROM m GROUP BY time(1m), *)",
]
_LOAD = """
import sys, time
begin = time.perf_counter()
import lark, re2, zoneinfo
libraries = time.perf_counter()
import headgate_grammar
print(libraries - begin, time.perf_counter() - libraries)
"""
_TABLE = """
import headgate_grammar, time
from headgate_grammar.parsing.transformer import Builder
from headgate_grammar.parsing.parser_table import load
begin = time.perf_counter()
load(Builder())
print(time.perf_counter() - begin)
"""


def microseconds(work: Callable[[], object], seconds: float = 0.3) -> float:
    """Returns the median duration of *work* in microseconds; calls it for *seconds* seconds."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < 5:
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1e6


def loading() -> None:
    """Prints the load times of the libraries, the grammar and its parser table."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HOME": home, "XDG_CACHE_HOME": ""}
        for title in ("first start", "next start", "next start"):
            times = [_run(code, environment) for code in (_LOAD, _TABLE)]
            (libraries, package), (table,) = times
            print(
                f"{title}: lark, re2 and zoneinfo {libraries:.0f} ms,"
                f" headgate_grammar {package:.0f} ms, of which the parser's table {table:.0f} ms"
            )


def _run(code: str, environment: dict[str, str]) -> list[float]:
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return [float(word) * 1e3 for word in output.stdout.split()]


def main() -> None:
    """Prints all measurements."""
    loading()
    tracemalloc.start()
    from headgate_grammar import ParseCache, ParseError, parse

    print(f"memory after import: {tracemalloc.get_traced_memory()[0] / 1e6:.1f} MB")
    tracemalloc.stop()
    cache = ParseCache()
    print("\n   cold   cached   (µs)")
    for text in STATEMENTS:
        cache(text)
        cold = microseconds(partial(parse, text))
        known = microseconds(partial(cache, text), 0.05)
        print(f"{cold:7.0f} {known:8.2f}   {text[:80]}")

    print("\nlength of a text of many statements, µs a kilobyte")
    for size in (1_000, 10_000, 100_000, 1_000_000):
        text = (STATEMENTS[7] + ";") * (size // len(STATEMENTS[7]))
        print(f"{len(text):9} {microseconds(partial(parse, text), 0) / len(text) * 1e3:8.0f}")

    print("\noperators in one expression, µs each; one string, µs a kilobyte")
    for count in (100, 1_000, 10_000, 100_000):
        chain = microseconds(
            partial(parse, "SELECT a FROM m WHERE " + " + ".join(["x"] * count)), 0
        )
        string = microseconds(partial(parse, f"SELECT a FROM m WHERE x = '{'a' * count}'"), 0)
        print(f"{count:9} {chain / count:8.1f} {string / count * 1e3:8.2f}")

    def too_deep() -> None:
        try:
            parse("SELECT " + "(" * 1_000_000 + "x")
        except ParseError as error:
            print(f"a million parentheses: {error}")

    begin = time.perf_counter()
    too_deep()
    print(f"refused after {(time.perf_counter() - begin) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
