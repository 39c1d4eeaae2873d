"""Measures the CPU time of the most expensive queries before they are authorized.

    worst_query.py

Each text is as long as the server's default limits allow. Exits with 1 if one takes more than a
second.
"""

import sys
import time
from collections.abc import Callable, Sequence

from headgate_engine import required_privileges
from headgate_grammar import ParseError, ParseLimits, Statement, parse
from headgate_server.config.settings import Settings
from headgate_server.configured_engine import parse_limits

_MAX_SECONDS = 1.0
# Each function returns a text of n parts.
SHAPES: dict[str, Callable[[int], str]] = {
    "fields": lambda n: f"SELECT {','.join(['a'] * n)} FROM m",
    "division": lambda n: f"SELECT {'/'.join(['a'] * n)} FROM m",
    "subtraction": lambda n: f"SELECT {'-'.join(['a'] * n)} FROM m",
    "signs": lambda n: f"SELECT {','.join(['-a'] * n)} FROM m",
    "products of signs": lambda n: f"SELECT {'*'.join(['a', '-1'] * n)} FROM m",
    "qualified sources": lambda n: f"SELECT a FROM {','.join(['a.b.c'] * n)}",
    "databases": lambda n: "SELECT a FROM " + ",".join(f"d{i}..c" for i in range(n)),
    "conditions": lambda n: f"SELECT a FROM m WHERE {' OR '.join(['a=1'] * n)}",
    "calls": lambda n: f"SELECT {','.join(['f(f(f(f(a))))'] * n)} FROM m",
    "parentheses": lambda n: f"SELECT {','.join(['((((((a))))))'] * n)} FROM m",
    "keys": lambda n: f"SHOW TAG VALUES WITH KEY IN ({','.join(['a'] * n)})",
    "statements": lambda n: ";".join(["SELECT a FROM m"] * n),
    "subqueries": lambda n: "SELECT a FROM " + ",".join(["(SELECT a FROM (SELECT a FROM m))"] * n),
    "dimensions": lambda n: f"SELECT a FROM m GROUP BY {','.join(['time(1s)'] * n)}",
    "targets": lambda n: ";".join(["SELECT a INTO b.c.d FROM e.f.g"] * n),
    "regular expressions": lambda n: f"SELECT a FROM m WHERE {' OR '.join(['a=~/(b|c){9}/'] * n)}",
    "classes": lambda n: f"SELECT a FROM m WHERE a =~ /{chr(92) + 'pL'}{'x' * n}/",
    "strings": lambda n: f"SELECT a FROM m WHERE {' OR '.join(['a=' + repr('x' * 60)] * n)}",
    "comments": lambda n: "SELECT a FROM m " + "/* x */" * n,
}


def cost(text: str, limits: ParseLimits) -> tuple[float, bool]:
    """Returns the CPU seconds of parsing *text* and of `required_privileges`; and whether *text*
    was accepted.
    """
    found: Sequence[Statement] = ()
    begun = time.process_time()
    try:
        found = parse(text, None, limits)
    except ParseError:
        pass
    for statement in found:
        required_privileges(statement, "db")
    return time.process_time() - begun, bool(found)


def largest(shape: Callable[[int], str], limits: ParseLimits) -> int:
    """Returns the greatest accepted number of parts of *shape*, to 2 %, by bisection."""
    low, high = 1, 200_000
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        accepted = cost(shape(middle), limits)[1] if len(shape(middle)) <= 1_000_000 else False
        low, high = (middle, high) if accepted else (low, middle)
    return low


def main() -> int:
    """Measures all shapes; returns the exit status."""
    limits = parse_limits(Settings())
    worst = 0.0
    for name, shape in SHAPES.items():
        parts = largest(shape, limits)
        accepted = min(cost(shape(parts), limits)[0] for _ in range(3))
        refused = cost(shape(parts * 4), limits)[0]
        worst = max(worst, accepted, refused)
        print(
            f"{name:20} {parts:7} parts: {accepted:.2f} s; refused with four times: {refused:.2f}"
        )
    print(f"the worst: {worst:.2f} s")
    return 0 if worst <= _MAX_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
