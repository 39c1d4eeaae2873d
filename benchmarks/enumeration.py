"""Tests whether a response or its duration reveals if a user exists.

    PYTHONPATH=tests enumeration.py [SAMPLES]      200 of each kind by default

Sends logins one at a time, in random order: for an unknown user, for a user with a password, and
for a user whose password is empty. All passwords sent are wrong. Exits
with 1 if the kinds can be distinguished:

* the medians differ by more than 5 %, or
* a permutation test yields p < 0.01. p is the fraction of 10,000 random divisions of both samples
  in which the mean ranks differ at least as much.
"""

import itertools
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from harness import Answer, Server

KINDS = {
    "unknown user": "nobody{}",
    "wrong password": "todd",
    "empty password": "blank",
}
DIVISIONS = 10_000


def ranks(values: list[float]) -> list[int]:
    """Returns the rank of each value."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0] * len(values)
    for rank, index in enumerate(order):
        found[index] = rank
    return found


def permutation_test(one: list[float], other: list[float], chance: random.Random) -> float:
    """Returns the p value: how likely mean ranks differ at least as much by chance."""
    both = ranks(one + other)
    half, total = len(one), sum(both)
    seen = abs(2 * sum(both[:half]) - total)
    as_much = sum(abs(2 * sum(chance.sample(both, half)) - total) >= seen for _ in range(DIVISIONS))
    return as_much / DIVISIONS


def response_fingerprint(answer: Answer) -> tuple[object, ...]:
    """Returns all parts of a response that must not differ."""
    volatile = ("date", "request-id", "x-request-id")
    headers = [(n.lower(), v) for n, v in answer.headers.items() if n.lower() not in volatile]
    return answer.status, answer.body, tuple(headers)


def sample(server: Server, samples: int) -> tuple[dict[str, list[float]], set[tuple[object, ...]]]:
    """Returns the durations in milliseconds by kind, and the set of response fingerprints."""
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    shapes = set()
    for number in range(samples):
        kinds = list(KINDS)
        random.Random(number).shuffle(kinds)
        for kind in kinds:
            started = time.perf_counter()
            answer = server.query("SHOW DATABASES", (KINDS[kind].format(number), f"no{number}"))
            times[kind].append(1000 * (time.perf_counter() - started))
            shapes.add(response_fingerprint(answer))
    return times, shapes


def main() -> int:
    """Runs the test; returns the exit status."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    environment = {"HEADGATE_AUTH_BCRYPT_COST": "10", "HEADGATE_AUTH_LONGEST_DELAY": "0s"}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "users.db", environment=environment).start()
        try:
            server.bootstrap(
                "CREATE USER todd WITH PASSWORD 's3cret'; CREATE USER blank WITH PASSWORD ''"
            )
            times, shapes = sample(server, samples)
        finally:
            server.stop()
    good = len(shapes) == 1
    print(f"{len(shapes)} kind(s) of answer, status {sorted({str(s[0]) for s in shapes})}")
    for kind, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"{kind:15} median {middle:6.2f} ms, quartiles {low:.2f} and {high:.2f}")
    chance = random.Random(1)
    for one, other in itertools.combinations(KINDS, 2):
        ratio = statistics.median(times[one]) / statistics.median(times[other])
        p = permutation_test(times[one], times[other], chance)
        good = good and 0.95 <= ratio <= 1.05 and p >= 0.01
        print(f"{one} / {other}: medians {ratio:.3f}, p = {p:.3f}")
    print("indistinguishable" if good else "DISTINGUISHABLE")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
