"""Compares the engine, in one program, with other policy engines: checks per second.

    peers.py [ROUNDS]      3 by default

All have the same users and grants. casbin and Cedar receive them in the form that suits them best:
a role for each privilege on a database, and users in roles. Exits with 1 if Headgate:

* is less than ten times as fast as casbin with 1,000 users, or
* has less than half its rate with 10 users when there are 100,000.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import casbin
import cedarpy
from population import DATABASES, PASSWORD, Population

from headgate_engine import Engine, Passwords, SqliteStore
from headgate_grammar import Privilege

COUNTS = (10, 1000, 100_000)
_ROUND_SECONDS = 0.5
_MIN_RATE_RATIO = 0.5  # least ratio of the rates with many and with few users
_MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""

Check = Callable[[int, str], bool]  # whether the user of that number may read that database


def headgate(folder: Path, population: Population) -> tuple[Check, Callable[[int, str], bool]]:
    """Returns a check by the engine, and a login with a cached password."""
    path = folder / f"{population.count}.db"
    population.fill(path)
    engine = Engine(SqliteStore(path), Passwords(4))

    def check(number: int, database: str) -> bool:
        return engine.allows(f"u{number}", Privilege.READ, database)

    def login(number: int, database: str) -> bool:
        return engine.authenticate(f"u{number % 10}", PASSWORD).name != database

    for number in range(10):
        login(number, "")
    return check, login


def by_casbin(folder: Path, population: Population) -> Check:
    """Returns a check by casbin."""
    model, policy = folder / "model.conf", folder / "policy.csv"
    model.write_text(_MODEL)
    lines = [f"p, reads-db{number}, db{number}, read" for number in range(DATABASES)]
    for number in range(population.count):
        lines += [f"g, u{number}, reads-{name}" for name in population.grants(number)]
    policy.write_text("\n".join(lines))
    enforcer = casbin.Enforcer(str(model), str(policy))

    def check(number: int, database: str) -> bool:
        return bool(enforcer.enforce(f"u{number}", database, "read"))

    return check


def by_cedar(folder: Path, population: Population) -> Check:
    """Returns a check by Cedar."""
    policies = "\n".join(
        f'permit(principal in Role::"reads-db{number}", action == Action::"read",'
        f' resource == Database::"db{number}");'
        for number in range(DATABASES)
    )

    def check(number: int, database: str) -> bool:
        # Only the entity of this user: cedarpy parses all entities on each call.
        entities = [
            {
                "uid": {"type": "User", "id": f"u{number}"},
                "attrs": {},
                "parents": [
                    {"type": "Role", "id": f"reads-{name}"} for name in population.grants(number)
                ],
            }
        ]
        request = {
            "principal": f'User::"u{number}"',
            "action": 'Action::"read"',
            "resource": f'Database::"{database}"',
            "context": {},
        }
        return bool(cedarpy.is_authorized(request, policies, json.dumps(entities)).allowed)

    return check


def rate(check: Check, population: Population, *, verify: bool = True) -> float:
    """Returns checks per second of random users and databases.

    With *verify*, each result is compared with the population first.
    """
    chosen = random.Random(7)
    checks = [
        (chosen.randrange(population.count), f"db{chosen.randrange(DATABASES)}")
        for _ in range(2000)
    ]
    for number, database in checks:
        right = database in population.grants(number)
        assert not verify or check(number, database) == right, (number, database)
    done, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < _ROUND_SECONDS:
        for number, database in checks[:200]:
            check(number, database)
        done += 200
    return done / spent


def main() -> int:
    """Runs the comparison; returns the exit status."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rates: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in COUNTS:
            population = Population(count)
            check, login = headgate(folder, population)
            works: dict[str, tuple[Check, bool]] = {
                "headgate allows": (check, True),
                "headgate authenticate": (login, False),
                "casbin enforce": (by_casbin(folder, population), True),
                "cedar is_authorized": (by_cedar(folder, population), True),
            }
            for _ in range(rounds):
                for title, (work, verify) in works.items():
                    found = rate(work, population, verify=verify)
                    rates.setdefault((title, count), []).append(found)
    for (title, count), every in rates.items():
        middle, between = statistics.median(every), f"{min(every):,.0f} to {max(every):,.0f}"
        print(f"{title:22} {count:8,} users {middle:10,.0f}/s ({between})")
    ours = {count: statistics.median(rates["headgate allows", count]) for count in COUNTS}
    theirs = statistics.median(rates["casbin enforce", 1000])
    times, flat = ours[1000] / theirs, ours[100_000] / ours[10]
    print(f"{times:.0f} times casbin at 1,000 users; at 100,000 users {flat:.2f} of the rate at 10")
    return 0 if times >= 10 and flat >= _MIN_RATE_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
